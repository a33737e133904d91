package engine

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/connhelper"
	dockercontext "github.com/docker/cli/cli/context"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
)

const (
	connectWithin = 5 * time.Second
	sshWithin     = 30 * time.Second // a login may take its time

	defaultContext = "default" // docker's name for what the environment says
	dockerEndpoint = "docker"  // of the endpoints of a context, the engine's
	plainPort      = "2375"    // of tcp:// without a port
)

// Connect connects to the engine that the docker command would use: that of
// the context with this name, or where it is empty what DOCKER_HOST,
// DOCKER_CONTEXT or docker's configuration name, or else the default one. It
// speaks the newest API version that both know, unless DOCKER_API_VERSION says
// which. Where no engine answers within 5 seconds, or 30 over ssh, the error
// says what was tried and what to do.
func Connect(ctx context.Context, contextName string) (*Engine, error) {
	where, err := find(contextName)
	if err != nil {
		return nil, err
	}
	docker, err := where.client()
	if err != nil {
		return nil, fmt.Errorf("the engine at %s can't be reached: %w", where, err)
	}
	ctx, cancel := context.WithTimeout(ctx, where.within())
	defer cancel()
	e := &Engine{docker: docker, endpoint: where}
	if err := e.hello(ctx); err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return e, nil
}

// Close closes the connection. Containers stay as they are.
func (e *Engine) Close() error { return e.docker.Close() }

// Endpoint says where the engine was found, and what named it:
// "tcp://10.0.0.1:2376 (context staging)".
func (e *Engine) Endpoint() string { return e.endpoint.String() }

// hello asks the engine what it is, and what its clock says.
func (e *Engine) hello(ctx context.Context) error {
	ping, err := e.docker.Ping(ctx)
	if err != nil {
		return fmt.Errorf("no Docker Engine answers at %s; %s: %w", e.endpoint, e.endpoint.advice(err), err)
	}
	e.docker.NegotiateAPIVersionPing(ping)
	var readings []reading
	for range clockReadings {
		var r reading
		if e.info, r, err = e.ask(ctx); err != nil {
			return fmt.Errorf("ask the engine at %s about its host: %w", e.endpoint, err)
		}
		readings = append(readings, r)
	}
	if e.info.OSType != "linux" {
		return fmt.Errorf("the engine at %s runs %q containers; switch it to Linux containers", e.endpoint, e.info.OSType)
	}
	e.ahead = ahead(readings)
	version, err := e.docker.ServerVersion(ctx)
	if err != nil {
		return fmt.Errorf("ask the engine at %s for its version: %w", e.endpoint, err)
	}
	e.podman = slices.ContainsFunc(version.Components, func(c types.ComponentVersion) bool { return c.Name == "Podman Engine" })
	return nil
}

func (e *Engine) ask(ctx context.Context) (system.Info, reading, error) {
	sent := time.Now()
	info, err := e.docker.Info(ctx)
	if err != nil {
		return info, reading{}, err
	}
	r := reading{sent: sent, trip: time.Since(sent)}
	if r.engine, err = time.Parse(time.RFC3339Nano, info.SystemTime); err != nil {
		return info, r, fmt.Errorf("what is its time? %w", err)
	}
	return info, r, nil
}

// An endpoint is where an engine listens.
type endpoint struct {
	host  string      // its URL; of tcp:// without user and password, which mean nothing there
	named string      // what named it: "DOCKER_HOST", "context staging"
	tls   *tls.Config // nil where there is none
}

// String never tells who logs in, nor with what.
func (p endpoint) String() string {
	host := p.host
	if u, err := url.Parse(host); err == nil {
		u.User = nil
		host = u.String()
	}
	return fmt.Sprintf("%s (%s)", host, p.named)
}

func (p endpoint) scheme() string {
	scheme, _, _ := strings.Cut(p.host, "://")
	return scheme
}

func (p endpoint) within() time.Duration {
	if p.scheme() == "ssh" {
		return sshWithin
	}
	return connectWithin
}

// client makes a client, which connects when it is first used.
func (p endpoint) client() (*client.Client, error) {
	transport := &http.Transport{TLSClientConfig: p.tls}
	options := []client.Opt{
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(p.host),
	}
	if p.scheme() == "ssh" { // docker's way: its own command on the far side passes the connection on to the socket there
		helper, err := connhelper.GetConnectionHelper(p.host)
		if err != nil {
			return nil, err
		}
		options[1] = client.WithHost(helper.Host)
		options = append(options, client.WithDialContext(helper.Dialer))
	}
	options = append(options, client.WithVersionFromEnv(), client.WithAPIVersionNegotiation())
	return client.NewClientWithOpts(options...)
}

// advice says what to do about an engine that can't be spoken to.
func (p endpoint) advice(err error) string {
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, notTLS := errors.AsType[tls.RecordHeaderError](err)
	switch text := err.Error(); {
	case unknownCA:
		return "its certificate isn't of the authority that is trusted; compare ca.pem (" + p.materials() + ") with the engine's"
	case otherName:
		return "its certificate is of another name; use a name that it has"
	case notTLS, strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "it doesn't speak TLS; unset DOCKER_TLS_VERIFY, or use the port that does"
	case strings.Contains(text, "HTTP request to an HTTPS server"):
		return "it speaks TLS; set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a context that has its certificates"
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"), strings.Contains(text, "unknown certificate authority"):
		return "it doesn't take our certificate; compare cert.pem and key.pem (" + p.materials() + ") with its authority"
	case errors.Is(err, os.ErrPermission):
		return "you may not use it; join the group docker, or use sudo"
	case p.scheme() == "ssh":
		return "try `ssh` by hand: it must log in without asking, and find a docker command there"
	default:
		return "start it, or name another: --context, DOCKER_HOST (`docker context ls` shows those that are known)"
	}
}

// materials says where the certificates come from.
func (p endpoint) materials() string {
	if strings.HasPrefix(p.named, "context ") {
		return p.named
	}
	return certificates()
}

// find returns the endpoint that the docker command would use.
func find(contextName string) (endpoint, error) {
	name, by, err := chosen(contextName, os.Getenv, currentContext)
	switch {
	case err != nil:
		return endpoint{}, err
	case name == defaultContext:
		return ofEnvironment()
	default:
		return ofContext(name, by)
	}
}

// chosen returns the name of the context that counts, and what names it.
func chosen(flag string, getenv func(string) string, current func() (string, error)) (name, by string, err error) {
	switch {
	case flag != "":
		return flag, "--context", nil
	case getenv("DOCKER_HOST") != "":
		return defaultContext, "", nil
	case getenv("DOCKER_CONTEXT") != "":
		return getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT", nil
	}
	name, err = current()
	return cmp.Or(name, defaultContext), "docker's config.json", err
}

// configDir is where docker keeps its configuration. [config.Dir] remembers
// what DOCKER_CONFIG was when it was first asked.
func configDir() string {
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return config.Dir()
}

// certificates is where TLS outside of contexts has its files.
func certificates() string { return cmp.Or(os.Getenv("DOCKER_CERT_PATH"), configDir()) }

// currentContext is what `docker context use` has chosen; "" where there is
// no such choice.
func currentContext() (string, error) {
	file, err := config.Load(configDir())
	if err != nil {
		return "", fmt.Errorf("read which context docker uses: %w; mend the file, or name an engine by --context or DOCKER_HOST", err)
	}
	return file.CurrentContext, nil
}

// ofEnvironment returns the endpoint that DOCKER_HOST names, or docker's
// default.
func ofEnvironment() (endpoint, error) {
	verify := os.Getenv("DOCKER_TLS_VERIFY") != ""
	secure := verify || os.Getenv("DOCKER_TLS") != ""
	p := endpoint{host: os.Getenv("DOCKER_HOST"), named: "DOCKER_HOST"}
	switch {
	case p.host != "":
	case secure:
		p = endpoint{host: "tcp://localhost:2376", named: "DOCKER_TLS_VERIFY without DOCKER_HOST"}
	default:
		p = defaultSocket(os.Getenv("XDG_RUNTIME_DIR"))
	}
	var err error
	if p.host, err = normal(p.host); err != nil {
		return p, fmt.Errorf("%s: %w", p.named, err)
	}
	if secure && p.scheme() == "tcp" {
		p.tls, err = fromFiles(certificates(), !verify)
	}
	if err != nil {
		return p, fmt.Errorf("the engine at %s, with TLS: %w; check DOCKER_CERT_PATH, or unset DOCKER_TLS_VERIFY", p, err)
	}
	return p, nil
}

// defaultSocket returns where an engine on this machine listens. For one
// without root docker itself has a context, "rootless", which its installer
// makes and chooses; where that was left out, its socket is still here.
func defaultSocket(runtimeDir string) endpoint {
	p := endpoint{host: client.DefaultDockerHost, named: "the default"}
	path, isSocket := strings.CutPrefix(p.host, "unix://")
	if _, err := os.Stat(path); err == nil || !isSocket || runtimeDir == "" {
		return p
	}
	rootless := filepath.Join(runtimeDir, "docker.sock")
	if _, err := os.Stat(rootless); err == nil {
		return endpoint{host: "unix://" + rootless, named: "the default of rootless engines"}
	}
	return p
}

// normal returns a host as a URL, as docker completes it: "build:2376" is
// "tcp://build:2376". What is wrong with it is told without it, for it might
// hold a password.
func normal(host string) (string, error) {
	scheme, address, found := strings.Cut(strings.TrimSpace(host), "://")
	if !found {
		scheme, address = "tcp", scheme
	}
	switch scheme {
	case "unix", "npipe":
		if address == "" {
			return client.DefaultDockerHost, nil
		}
		return scheme + "://" + address, nil
	case "ssh", "tcp":
	default:
		return "", fmt.Errorf("an address of the kind %q is not supported; use unix://, tcp://, ssh:// or npipe://", scheme+"://")
	}
	u, err := url.Parse(scheme + "://" + address)
	if bad, ok := errors.AsType[*url.Error](err); ok {
		return "", fmt.Errorf("not an address: %w", bad.Err)
	}
	if err != nil {
		return "", err
	}
	if scheme == "tcp" {
		u.User = nil
		u.Host = net.JoinHostPort(cmp.Or(u.Hostname(), "localhost"), cmp.Or(u.Port(), plainPort))
	}
	return u.String(), nil
}

// contexts is docker's store of them.
func contexts() *store.ContextStore {
	return store.New(filepath.Join(configDir(), "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &dockercontext.EndpointMetaBase{} }),
	))
}

// ofContext returns the endpoint of a context in docker's store.
func ofContext(name, by string) (endpoint, error) {
	known := contexts()
	meta, err := known.GetMetadata(name)
	switch {
	case errdefs.IsNotFound(err):
		return endpoint{}, unknownContext(name, by, known)
	case err != nil:
		return endpoint{}, fmt.Errorf("read context %s (%s): %w; `docker context inspect %[1]s` may say more", name, by, err)
	}
	p := endpoint{named: "context " + name}
	docker, ok := meta.Endpoints[dockerEndpoint].(dockercontext.EndpointMetaBase)
	if !ok {
		return p, fmt.Errorf("context %s (%s) has no docker endpoint; use another: `docker context ls`", name, by)
	}
	if p.host, err = normal(docker.Host); err != nil {
		return p, fmt.Errorf("%s: %w", p.named, err)
	}
	if p.scheme() != "tcp" {
		return p, nil
	}
	data, err := dockercontext.LoadTLSData(known, name, dockerEndpoint)
	if err == nil {
		p.tls, err = secured(data, docker.SkipTLSVerify)
	}
	if err != nil {
		return p, fmt.Errorf("the engine at %s, with TLS: %w; `docker context update` sets its certificates", p, err)
	}
	return p, nil
}

func unknownContext(name, by string, known store.Lister) error {
	names, err := store.Names(known)
	if err != nil {
		return fmt.Errorf("list docker's contexts: %w", err)
	}
	names = append(names, defaultContext)
	return fmt.Errorf("docker has no context %q (%s); did you mean %s? It has %s", name, by, nearest(name, names), strings.Join(names, ", "))
}

// fromFiles reads a folder's ca.pem, and cert.pem and key.pem where they are.
func fromFiles(dir string, skipVerify bool) (*tls.Config, error) {
	present := func(name string) string {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return ""
		}
		return path
	}
	data, err := dockercontext.TLSDataFromFiles(filepath.Join(dir, "ca.pem"), present("cert.pem"), present("key.pem"))
	if err != nil {
		return nil, err
	}
	return secured(data, skipVerify)
}

// secured returns how to speak TLS with these materials, nil where there are
// none. Of what they hold no error tells.
func secured(data *dockercontext.TLSData, skipVerify bool) (*tls.Config, error) {
	if data == nil && !skipVerify {
		return nil, nil // // as a transport has it: nil is no TLS
	}
	c := tlsconfig.ClientDefault()
	c.InsecureSkipVerify = skipVerify
	if data == nil {
		return c, nil
	}
	if data.CA != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(data.CA) {
			return nil, errors.New("ca.pem holds no certificate")
		}
	}
	if data.Cert != nil && data.Key != nil {
		pair, err := tls.X509KeyPair(data.Cert, data.Key)
		if err != nil {
			return nil, fmt.Errorf("cert.pem and key.pem: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
