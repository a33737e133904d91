package report

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// appliable are runs that have a configuration to take.
func appliable() map[string]Run {
	minimal := reference()
	minimal.Experiment.Service = experiment.Service{Image: "registry.example.com:5000/sweep/predictor:dev@sha256:0123"}

	roomy := reference() // a bigger cell carried 13,000 users, another one more yet
	roomy.Experiment.Service = experiment.Service{Compose: &experiment.Compose{File: "compose.yaml", Service: "api"}}
	for _, carried := range []int{13000, 14000} {
		v := passed()
		v.LastPass = at(150, carried, 899213, 9894.2, 118*time.Millisecond, 0)
		c := cellOf(float64(carried/1000-11), 1024, v)
		c.Measured, c.PriceHour = true, roomy.Experiment.Price.Of(c.Trial.Limits)
		roomy.Surface.Cells = append(roomy.Surface.Cells, c)
	}

	set := settings()
	set.Experiment.Service = experiment.Service{Container: "com.docker.compose.service=mi_api", Env: map[string]experiment.Value{
		"THREADS": {Written: "${cpus}", Resolved: "${cpus}"}, "TOKEN": {Written: "${TOKEN}-${cpus}", Resolved: "secret-${cpus}"}, "MODE": {Written: "fast", Resolved: "fast"},
	}}
	l := &set.Surface.Minimal.Limits
	l.CPU, l.Memory, l.Image = 1_234_567_890, 500*experiment.MiB+512*experiment.KiB, "sweep/fastapi:slim"
	l.Env = experiment.VariablesOf(map[string]string{"WORKERS": "2", "GREETING": "line\n\"$HOME\" $(x) \u202e# y: *"})
	return map[string]Run{"minimal": minimal, "roomy": roomy, "set": set}
}

func TestAppliedGolden(t *testing.T) {
	for name, r := range appliable() {
		for _, f := range applyFiles() {
			var b bytes.Buffer
			if err := f.write(&b, *r.provision()); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", "apply", name+"-"+filepath.Base(f.name)), b.Bytes())
		}
	}
}

func TestNothingToApplyWithoutAMinimalConfiguration(t *testing.T) {
	for name, r := range map[string]Run{"all failed": allFailed(), "unknown": unknown(), "empty": {}} {
		if p := r.provision(); p != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// The Compose file says the same after Compose has read it.
func TestComposeReadsTheOverride(t *testing.T) {
	for name, r := range appliable() {
		p := *r.provision()
		var b bytes.Buffer
		if err := composeOverride(&b, p); err != nil {
			t.Fatal(err)
		}
		base := "services: {predictor: {image: x}, api: {image: x}, mi_api: {image: x}}"
		project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir: t.TempDir(), Environment: types.Mapping{"HOME": "/wrong"},
			ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(base)}, {Filename: "compose.override.yaml", Content: b.Bytes()}},
		}, func(o *loader.Options) { o.SetProjectName("x", true) })
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b.String())
		}
		s, err := project.GetService(p.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Deploy.Resources.Limits; int64(got.MemoryBytes) != int64(p.limits.Memory) || float64(got.NanoCPUs) != float64(float32(p.limits.CPU.Float())) {
			t.Errorf("%s: Compose reads %+v, want %s", name, got, p.limits)
		}
		if image := p.limits.Image; image != "" && s.Image != image {
			t.Errorf("%s: image %q", name, s.Image)
		}
		for key, want := range p.env {
			if got := s.Environment[key]; got == nil || *got != want {
				t.Errorf("%s: %s is %v, want %q", name, key, got, want)
			}
		}
	}
}

func TestKubernetesPatchIsRead(t *testing.T) {
	type container struct {
		Name      string
		Image     string
		Env       []struct{ Name, Value string }
		Resources map[string]map[string]string
	}
	for name, r := range appliable() {
		p := *r.provision()
		var b bytes.Buffer
		if err := kubernetesPatch(&b, p); err != nil {
			t.Fatal(err)
		}
		var patch struct {
			Spec struct {
				Template struct {
					Spec struct{ Containers []container }
				}
			}
		}
		if err := yaml.UnmarshalWithOptions(b.Bytes(), &patch, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b.String())
		}
		c := patch.Spec.Template.Spec.Containers[0]
		want := map[string]string{"cpu": cpuQuantity(p.limits.CPU), "memory": memoryQuantity(p.limits.Memory)}
		for _, what := range []string{"requests", "limits"} {
			if got := c.Resources[what]; got["cpu"] != want["cpu"] || got["memory"] != want["memory"] {
				t.Errorf("%s: %s are %v, want %v", name, what, got, want)
			}
		}
		if len(c.Env) != len(p.env) || c.Image != p.limits.Image {
			t.Errorf("%s: %+v", name, c)
		}
		for _, v := range c.Env {
			if v.Value != literal(p.env[v.Name]) {
				t.Errorf("%s: %s is %q", name, v.Name, v.Value)
			}
		}
	}
}

func TestQuantities(t *testing.T) {
	for cpus, want := range map[string]string{"0.01": "10m", "0.5": "500m", "1": "1", "1.5": "1500m", "0.0125": "13m", "16": "16"} {
		c, err := experiment.ParseCPUs(cpus)
		if err != nil {
			t.Fatal(err)
		}
		if got := cpuQuantity(c); got != want {
			t.Errorf("%s CPUs: %s, want %s", cpus, got, want)
		}
	}
	for memory, want := range map[string]string{"200M": "200Mi", "2G": "2048Mi", "1.5G": "1536Mi", "6291457": "6291457", "7000K": "7000Ki"} {
		b, err := experiment.ParseBytes(memory)
		if err != nil {
			t.Fatal(err)
		}
		if got := memoryQuantity(b); got != want {
			t.Errorf("%s: %s, want %s", memory, got, want)
		}
	}
}

func TestServicesAreCalledWhatTheFileSays(t *testing.T) {
	for want, s := range map[string]experiment.Service{
		"predictor":          {Image: "sweep/predictor:dev"},
		"b":                  {Image: "localhost:5000/a/b@sha256:00"},
		"api":                {Compose: &experiment.Compose{Service: "api"}},
		"mi_api":             {Container: "com.docker.compose.project=p,com.docker.compose.service=mi_api"},
		"proyecto2-mi_api-1": {Container: "proyecto2-mi_api-1"},
		"it":                 {Build: &experiment.Build{Context: "."}},
		"rm--rf-x":           {Container: "$(rm -rf /)\n\"x"},
		"service":            {Container: "\u202e;;"},
		"e.x-y":              {Image: "a/e.x y\x1b"},
		"true":               {Image: "true"},
		"a23456789012345678901234567890123456789012345678901234567890": {Image: "a23456789012345678901234567890123456789012345678901234567890123"},
	} {
		if got := serviceName(&experiment.Experiment{Name: "it", Service: s}); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
	if got := scalar("true"); got != `"true"` {
		t.Errorf("YAML reads %s as something else than a name", got)
	}
}

// The cheapest measured cell that carried the headroom is granted, and only one
// that held it.
func TestHeadroomIsOnlyWhatWasMeasured(t *testing.T) {
	r := appliable()["roomy"]
	cells := r.Surface.Cells
	if p := r.provision(); !p.proved || p.limits != cellLimits(2, 1024) {
		t.Errorf("%+v", p)
	}
	cells[3].LastPass.Users = 12499
	if p := r.provision(); !p.proved || p.limits != cellLimits(3, 1024) {
		t.Errorf("%+v", p)
	}
	cells[4].Outcome = analysis.Breached // beyond 14,000, but no start of its own held that
	if p := r.provision(); p.proved || p.limits != cellLimits(2, 500) {
		t.Errorf("%+v", p)
	}
	cells[4].Proved = true
	if p := r.provision(); !p.proved {
		t.Errorf("%+v", p)
	}
}
