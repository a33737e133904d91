package blueprint

import (
	"reflect"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

func TestRenamedChangesWhatIsNamedAlone(t *testing.T) {
	b := Blueprint{
		Host: container.HostConfig{NetworkMode: "a", Mounts: []mount.Mount{
			{Type: mount.TypeVolume, Source: "a"}, {Type: mount.TypeVolume, Source: "b"}, {Type: mount.TypeBind, Source: "a"}, {Type: mount.TypeVolume},
		}},
		Networks: []Network{{Name: "a"}, {Name: "b"}},
	}
	before := b.clone()
	got := b.Renamed(map[string]string{"a": "network"}, map[string]string{"a": "volume"})
	want := []any{container.NetworkMode("network"), "network", "b", "volume", "b", "a", ""}
	m := got.Host.Mounts
	if is := []any{got.Host.NetworkMode, got.Networks[0].Name, got.Networks[1].Name, m[0].Source, m[1].Source, m[2].Source, m[3].Source}; !reflect.DeepEqual(is, want) {
		t.Errorf("got %v, want %v", is, want)
	}
	if !reflect.DeepEqual(b.clone(), before) {
		t.Error("it changed what it was made of")
	}
	if none := (Blueprint{Host: container.HostConfig{NetworkMode: "host"}}).Renamed(map[string]string{"host": "x"}, nil); none.Host.NetworkMode != "host" {
		t.Errorf("a mode became %s", none.Host.NetworkMode)
	}
}
