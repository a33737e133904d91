package engine

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker/api/types/registry"
)

// hub is Docker's own registry, by the names that images, docker's
// configuration and people know it by.
const (
	hubDomain = "docker.io"
	hubKey    = "https://index.docker.io/v1/"
)

// A login is what docker's configuration knows of a registry.
type login struct {
	registry string // its host, with a port if it has one
	auth     types.AuthConfig
	place    string // where the credentials are, or where there are none
	err      error  // why they can't be read
}

// loginFor looks up the credentials for an image's registry, as docker does: in
// DOCKER_AUTH_CONFIG, in the helper for that registry, in the helper for
// all, in config.json. A helper is a program of the user's, and is waited for.
// Where there are none, images may still be there for everybody.
func loginFor(image reference.Named) login {
	l := login{registry: reference.Domain(image)}
	key := l.registry
	if key == hubDomain {
		key = hubKey
	}
	file, err := credentialsFile()
	l.place = file.Filename
	if err != nil {
		l.err = err
		return l
	}
	if helper := helperFor(file, key); helper != "" {
		l.place = "docker-credential-" + helper
	}
	l.auth, l.err = file.GetAuthConfig(key)
	if l.found() && l.auth == fromEnvironment(key) {
		l.place = configfile.DockerEnvConfigKey
	}
	return l
}

// credentialsFile loads docker's configuration. Its folder is asked for each time;
// docker's own package remembers the first.
func credentialsFile() (*configfile.ConfigFile, error) {
	file, err := config.Load(os.Getenv(config.EnvOverrideConfigDir))
	if err != nil {
		return file, fmt.Errorf("read docker's configuration: %w", err)
	}
	if !file.ContainsAuth() {
		file.CredentialsStore = credentials.DetectDefaultStore(file.CredentialsStore)
	}
	return file, nil
}

func helperFor(file *configfile.ConfigFile, key string) string {
	if helper, own := file.CredentialHelpers[key]; own {
		return helper
	}
	return file.CredentialsStore
}

// fromEnvironment returns what DOCKER_AUTH_CONFIG has for a registry.
func fromEnvironment(key string) types.AuthConfig {
	file, err := config.LoadFromReader(strings.NewReader(os.Getenv(configfile.DockerEnvConfigKey)))
	if err != nil { // none, or docker's package has said so
		return types.AuthConfig{}
	}
	auth := file.AuthConfigs[key]
	auth.Auth, auth.ServerAddress = "", key
	return auth
}

func (l login) found() bool {
	return l.auth.Username != "" || l.auth.IdentityToken != "" || l.auth.RegistryToken != ""
}

// header returns the credentials as the engine takes them.
func (l login) header() (string, error) {
	if !l.found() {
		return "", nil
	}
	return registry.EncodeAuthConfig(forEngine(l.auth))
}

// refused says what to do where the registry didn't let the image be had.
func (l login) refused() string {
	command := "`docker login " + l.registry + "`"
	if l.registry == hubDomain {
		command = "`docker login`"
	}
	switch {
	case l.err != nil:
		return fmt.Sprintf("credentials for it can't be read from %s (%v); mend that, or %s", l.place, l.err, command)
	case !l.found():
		return fmt.Sprintf("there are no credentials for it in %s; %s", l.place, command)
	case l.auth.Username == "":
		return fmt.Sprintf("it doesn't take the token in %s; %s again", l.place, command)
	}
	return fmt.Sprintf("it doesn't take the credentials of %s in %s; %s again", l.auth.Username, l.place, command)
}

// allCredentials returns whatever docker's configuration has, by registry: the
// classic builder takes what it needs. As with docker, what can't be read is
// missing there.
func allCredentials() map[string]registry.AuthConfig {
	file, err := credentialsFile()
	all, getErr := file.GetAllCredentials()
	if errors.Join(err, getErr) != nil {
		return nil
	}
	converted := make(map[string]registry.AuthConfig, len(all))
	for key, auth := range all {
		converted[key] = forEngine(auth)
	}
	return converted
}

func forEngine(auth types.AuthConfig) registry.AuthConfig {
	return registry.AuthConfig{
		Username: auth.Username, Password: auth.Password, ServerAddress: auth.ServerAddress,
		IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken,
	}
}
