package compose

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// A rule says what becomes of a key of a Compose file. A key without a rule is
// refused: compose-go learns keys, and none of them may be ignored by accident.
type rule struct {
	verdict verdict
	why     string // of what is refused or harmless
}

type verdict uint8

const (
	refused  verdict = iota
	honoured         // what is inside it has rules of its own
	harmless         // it changes nothing of what is measured, with all that is inside it
	told             // likewise, but somebody may have hoped that it does
)

func refuse(why string) rule { return rule{refused, why} }
func ignore(why string) rule { return rule{harmless, why} }
func tell(why string) rule   { return rule{told, why} }

var honour = rule{verdict: honoured} //nolint:gochecknoglobals // the rule of most keys

const (
	swarmOnly   = "Swarm's alone: docker compose doesn't use it either"
	windowsOnly = "it is for Windows containers"
	oldSpelling = "docker compose doesn't take it any more"
	newEngines  = "engines that are in use don't know it, and would ignore it"
	buildKit    = "it needs BuildKit"
	notBuilt    = "builds aren't set up with it"
	onlySpeed   = "it changes how a build goes, not what it is asked to make"
	ownLabels   = "what sweep makes has its own labels alone, so that no proxy sends it other people's requests"
	asCompose   = "docker compose ignores it as well"
)

// serviceRules are the rules of a service's keys. A path leaves out the names
// that the file's author chose: "networks.aliases" is that of each network.
var serviceRules = map[string]rule{ //nolint:gochecknoglobals // a table
	"name": honour, "image": honour, "pull_policy": honour, "container_name": honour,
	"command": honour, "entrypoint": honour, "environment": honour, "user": honour, "working_dir": honour,
	"hostname": honour, "domainname": honour, "init": honour, "privileged": honour, "read_only": honour,
	"stdin_open": honour, "tty": honour, "stop_signal": honour, "stop_grace_period": honour, "expose": honour,
	"cap_add": honour, "cap_drop": honour, "security_opt": honour, "sysctls": honour, "group_add": honour,
	"dns": honour, "dns_opt": honour, "dns_search": honour, "extra_hosts": honour, "links": honour,
	"ipc": honour, "pid": honour, "uts": honour, "userns_mode": honour, "cgroup": honour, "network_mode": honour,
	"shm_size": honour, "tmpfs": honour, "storage_opt": honour, "runtime": honour, "device_cgroup_rules": honour,
	"annotations": honour, "oom_score_adj": honour, "scale": honour, "restart": honour,

	"platform":    refuse("the engine runs images of its own platform"),
	"env_file":    ignore("what is in it is in the environment"),
	"extends":     ignore("it was resolved while the file was read"),
	"profiles":    ignore("they were resolved while the file was read"),
	"labels":      ignore(ownLabels),
	"label_file":  ignore(ownLabels),
	"attach":      ignore("it is about what docker compose prints"),
	"develop":     ignore("it is for developing: docker compose watch"),
	"ports":       ignore("nothing has to be published: load and dependencies come over the network, and the port may be taken"),
	"mac_address": refuse("a fixed hardware address isn't kept"),

	"cpus": honour, "cpu_shares": honour, "cpu_quota": honour, "cpu_period": honour, "cpuset": honour,
	"mem_limit": honour, "mem_reservation": honour, "memswap_limit": honour, "mem_swappiness": honour,
	"oom_kill_disable": honour, "pids_limit": honour,
	"cpu_count": refuse(windowsOnly), "cpu_percent": refuse(windowsOnly), "isolation": refuse(windowsOnly), "credential_spec": refuse(windowsOnly),
	"cpu_rt_period": refuse("real-time scheduling isn't set up"), "cpu_rt_runtime": refuse("real-time scheduling isn't set up"),
	"blkio_config":  refuse("limits of disks aren't set up"),
	"cgroup_parent": refuse("the limits of another cgroup would count besides those of the matrix"),
	"gpus":          refuse("devices of graphics cards aren't set up"),
	"umask":         refuse(newEngines),

	"ulimits": honour, "ulimits.single": honour, "ulimits.soft": honour, "ulimits.hard": honour,
	"devices": honour, "devices.source": honour, "devices.target": honour, "devices.permissions": honour,
	"logging": honour, "logging.driver": honour, "logging.options": honour,
	"log_driver": refuse(oldSpelling), "log_opt": refuse(oldSpelling), "net": refuse(oldSpelling), "dockerfile": refuse(oldSpelling), "volume_driver": refuse(oldSpelling),

	"healthcheck": honour, "healthcheck.test": honour, "healthcheck.timeout": honour, "healthcheck.interval": honour, "healthcheck.retries": honour,
	"healthcheck.start_period": honour, "healthcheck.start_interval": honour, "healthcheck.disable": honour,

	"depends_on": honour, "depends_on.condition": honour, "depends_on.required": honour,
	"depends_on.restart": ignore("nothing is restarted during an experiment"),

	"networks": honour, "networks.aliases": honour, "networks.ipv4_address": honour, "networks.ipv6_address": honour, "networks.link_local_ips": honour,
	"networks.driver_opts": honour, "networks.priority": honour, "networks.use_service_name_alias": honour,
	"networks.gw_priority": refuse(newEngines), "networks.interface_name": refuse(newEngines), "networks.mac_address": refuse("a fixed hardware address isn't kept"),

	"volumes": honour, "volumes.type": honour, "volumes.source": honour, "volumes.target": honour, "volumes.read_only": honour,
	"volumes.consistency": ignore("engines on Linux don't use it"),
	"volumes.bind":        honour, "volumes.bind.selinux": honour, "volumes.bind.propagation": honour, "volumes.bind.create_host_path": honour,
	"volumes.bind.recursive": refuse(newEngines),
	"volumes.volume":         honour, "volumes.volume.nocopy": honour, "volumes.volume.labels": ignore(ownLabels), "volumes.volume.subpath": refuse(newEngines),
	"volumes.tmpfs": honour, "volumes.tmpfs.size": honour, "volumes.tmpfs.mode": honour,
	"volumes.image": refuse(newEngines),
	"volumes_from":  refuse("name the volumes under volumes instead"),

	"secrets": honour, "secrets.source": honour, "secrets.target": honour, "secrets.uid": ignore(asCompose), "secrets.gid": ignore(asCompose), "secrets.mode": ignore(asCompose),
	"configs": honour, "configs.source": honour, "configs.target": honour, "configs.uid": ignore(asCompose), "configs.gid": ignore(asCompose), "configs.mode": ignore(asCompose),

	"build": ignore("its keys count only where it has to be built"),

	"deploy": honour, "deploy.replicas": honour, "deploy.resources": honour,
	"deploy.mode": tell(swarmOnly), "deploy.labels": ignore(swarmOnly), "deploy.update_config": ignore(swarmOnly), "deploy.rollback_config": ignore(swarmOnly),
	"deploy.placement": tell(swarmOnly), "deploy.endpoint_mode": tell(swarmOnly),
	"deploy.resources.limits": honour, "deploy.resources.limits.cpus": honour, "deploy.resources.limits.memory": honour, "deploy.resources.limits.pids": honour,
	"deploy.resources.limits.devices": refuse("devices of graphics cards aren't set up"), "deploy.resources.limits.generic_resources": ignore(swarmOnly),
	"deploy.resources.reservations": honour, "deploy.resources.reservations.memory": honour,
	"deploy.resources.reservations.cpus": ignore(swarmOnly), "deploy.resources.reservations.pids": ignore(swarmOnly),
	"deploy.resources.reservations.devices": refuse("devices of graphics cards aren't set up"), "deploy.resources.reservations.generic_resources": ignore(swarmOnly),
	"deploy.restart_policy": honour, "deploy.restart_policy.condition": honour, "deploy.restart_policy.max_attempts": honour,
	"deploy.restart_policy.delay": ignore(swarmOnly), "deploy.restart_policy.window": ignore(swarmOnly),

	"models": refuse("models aren't started"), "provider": refuse("services of a provider aren't started"), "use_api_socket": refuse("the engine's socket isn't handed on"),
	"external_links": refuse("join the network of that container, and call it by its name there"),
	"pre_start":      refuse("commands of hooks aren't run"), "post_start": refuse("commands of hooks aren't run"), "pre_stop": refuse("commands of hooks aren't run"),
	"pull_refresh_after": ignore("an image stays the same for a whole experiment"),
}

// buildRules are the rules of the keys under build.
var buildRules = map[string]rule{ //nolint:gochecknoglobals // a table
	"context": honour, "dockerfile": honour, "args": honour, "target": honour,
	"tags": ignore("they are further names of the image"), "labels": ignore(ownLabels),
	"cache_from": ignore(onlySpeed), "cache_to": ignore(onlySpeed), "no_cache": ignore(onlySpeed), "pull": ignore(onlySpeed),
	"provenance": ignore("it describes the image"), "sbom": ignore("it describes the image"),
	"dockerfile_inline": refuse("write it into a file"), "isolation": refuse(windowsOnly),
	"entitlements": refuse(buildKit), "ssh": refuse(buildKit), "secrets": refuse(buildKit), "additional_contexts": refuse(buildKit), "no_cache_filter": refuse(buildKit),
	"extra_hosts": refuse(notBuilt), "network": refuse(notBuilt), "shm_size": refuse(notBuilt), "ulimits": refuse(notBuilt), "platforms": refuse(notBuilt), "privileged": refuse(notBuilt),
}

// networkRules are the rules of a network's keys, and volumeRules and
// fileRules those of a volume's, and of a secret's or config's.
var (
	networkRules = map[string]rule{ //nolint:gochecknoglobals // a table
		"name": honour, "external": honour, "driver": honour, "driver_opts": honour, "internal": honour, "attachable": honour, "enable_ipv6": honour,
		"enable_ipv4": refuse(newEngines), "labels": ignore(ownLabels),
		"ipam": honour, "ipam.driver": honour, "ipam.options": honour, "ipam.config": honour,
		"ipam.config.subnet": honour, "ipam.config.gateway": honour, "ipam.config.ip_range": honour, "ipam.config.aux_addresses": honour,
	}
	volumeRules = map[string]rule{ //nolint:gochecknoglobals // a table
		"name": honour, "external": honour, "driver": honour, "driver_opts": honour, "labels": ignore(ownLabels),
	}
	fileRules = map[string]rule{ //nolint:gochecknoglobals // a table
		"name": honour, "file": honour, "labels": ignore(ownLabels),
		"environment": refuse("only files are handed on"), "content": refuse("only files are handed on"), "external": refuse("only files are handed on"),
		"driver": refuse("only files are handed on"), "driver_opts": refuse("only files are handed on"), "template_driver": refuse("only files are handed on"),
	}
)

// A check is what became of a part of a Compose file. Both name keys and say
// why, as "services.api.models: models aren't started".
type check struct {
	refused []string // what can't be honoured
	told    []string // what changes nothing here
}

// inspect holds a part of a Compose file, which stands at a place of it such as
// "services.api", against its rules.
func inspect(place string, part any, rules map[string]rule) check {
	w := walk{rules: rules}
	w.visit(place, "", reflect.ValueOf(part))
	slices.Sort(w.refused)
	slices.Sort(w.told)
	return w.check
}

type walk struct {
	rules map[string]rule
	check
}

// visit looks at a value, which stands at a place of the file and to which the
// rules of a path apply.
func (w *walk) visit(place, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.visit(place, path, v.Elem())
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			w.visit(join(place, fmt.Sprint(key)), path, v.MapIndex(key))
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.visit(fmt.Sprintf("%s[%d]", place, i), path, v.Index(i))
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			w.field(place, path, field, value)
		}
	default: // it holds no keys
	}
}

func (w *walk) field(place, path string, field reflect.StructField, v reflect.Value) {
	name, inline := key(field)
	switch {
	case inline:
		w.visit(place, path, v)
		return
	case name == "" || empty(v):
		return
	}
	place, path = join(place, name), join(path, name)
	switch r, known := w.rules[path]; {
	case !known:
		w.refused = append(w.refused, place+": sweep doesn't know this key")
	case r.verdict == refused:
		w.refused = append(w.refused, place+": "+r.why)
	case r.verdict == told:
		w.told = append(w.told, place+": "+r.why)
	case r.verdict == honoured:
		w.visit(place, path, v)
	}
}

// key returns how a Compose file names a field, or that the field's own fields
// stand in its place. The name is "" where a file has no such key of its own:
// what begins with "x-" is the author's.
func key(field reflect.StructField) (name string, inline bool) {
	if field.Type == reflect.TypeFor[types.Extensions]() || !field.IsExported() {
		return "", false
	}
	name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	switch {
	case name == "-":
		return "", false
	case name == "" && strings.Contains(options, "inline"):
		return "", true
	case name == "":
		return strings.ToLower(field.Name), false
	default:
		return name, false
	}
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
