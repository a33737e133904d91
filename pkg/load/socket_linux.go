package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sweep/pkg/load/http1"
	"sweep/pkg/measure"
)

// sockets are a wire of plain TCP connections that speak HTTP/1.1, all in one
// epoll set: a user who waits costs two hundred bytes and no goroutine.
// Events are edge-triggered, so that a connection is told to epoll only once;
// a short read has emptied its socket, unless the other side has closed it too.
type sockets struct {
	*clock
	settle func(user int32, s stamps, class measure.Class, status int, stale bool)

	plan    *Plan
	right   [maxStatus + 1]bool // by status: whether it is a right answer's
	text    *http1.Text
	peer    unix.Sockaddr
	family  int
	sources []unix.Sockaddr // what to bind connections to in turn; empty: the kernel's choice
	dialled int

	epoll, timer int
	armed        time.Duration // when the timer fires, or fired
	events       [maxEvents]unix.EpollEvent
	next, ready  int // of events: those from next to ready haven't been dealt with

	conns   []conn
	scratch []byte // a request that a row was filled into
	buffer  [readSize]byte
}

const (
	maxStatus = 999
	maxEvents = 128
	readSize  = 64 << 10
)

// conn is a user's connection.
type conn struct {
	answer  http1.Response
	rest    []byte // of the request: what couldn't be written yet
	row     int
	started time.Duration // of connecting
	connect time.Duration // how long that took, if it was for the request that is out
	send    time.Duration
	sent    time.Duration
	first   time.Duration
	fd      int32
	serial  int32 // tells an event of this connection from one of those before it
	state   state
	reused  bool // the request went out on a connection that had been idle
	stale   bool // the service had closed the idle connection
}

type state uint8

const (
	closed state = iota
	lost         // closed by the service while it was idle
	idle
	connecting
	sending
	awaiting // of the answer, not a byte has come
	reading
)

// What events are for that aren't a connection's.
const (
	theTimer = -1
	theStop  = -2
)

// newSockets returns the wire to an address. Its settle has to be set before
// it is used. What is written to stop, an eventfd, ends a step that waits.
func newSockets(plan *Plan, to netip.AddrPort, c *clock, stop int) (*sockets, error) {
	s := &sockets{clock: c, plan: plan, armed: never, epoll: -1, timer: -1}
	for _, status := range plan.Status {
		s.right[status] = true
	}
	s.text = http1.NewText(plan.Text)
	s.family, s.peer = sockaddr(to)
	s.sources = sources(plan, to)
	var errs [2]error
	s.epoll, errs[0] = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	s.timer, errs[1] = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	err := errors.Join(errs[:]...)
	if err == nil {
		err = errors.Join(s.watch(s.timer, theTimer, 0), s.watch(stop, theStop, 0))
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("setting up the load's sockets: %w", err)
	}
	return s, nil
}

func (s *sockets) close() {
	for _, fd := range []int{s.epoll, s.timer} {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing can be lost with it
		}
	}
}

func (s *sockets) watch(fd int, user, serial int32) error {
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: user, Pad: serial,
	})
}

// send implements [wire].
func (s *sockets) send(user int32, row int) {
	for int(user) >= len(s.conns) {
		s.conns = append(s.conns, conn{fd: -1})
	}
	c := &s.conns[user]
	c.row, c.connect, c.stale = row, 0, c.state == lost
	c.answer.Reset(s.plan.Request.Method == http.MethodHead, s.text)
	if c.state == idle {
		c.reused = true
		s.write(user, c, s.request(row))
		return
	}
	s.dial(user, c)
}

func (s *sockets) request(row int) []byte {
	if fixed := s.plan.Request.Fixed(); fixed != nil {
		return fixed
	}
	s.scratch = s.plan.Request.Append(s.scratch[:0], row)
	return s.scratch
}

// dial opens a connection for the request that is out.
func (s *sockets) dial(user int32, c *conn) {
	c.reused, c.started = false, s.now
	fd, err := unix.Socket(s.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.fail(user, c, classify(err, measure.Own))
		return
	}
	c.fd, c.state = int32(fd), connecting
	c.serial++
	if err := s.connect(fd); err != nil {
		s.fail(user, c, classify(err, measure.Refused))
		return
	}
	// Watched from here on, and not before: a socket that isn't even trying
	// to connect counts as hung up.
	if err := s.watch(fd, user, c.serial); err != nil {
		s.fail(user, c, measure.Own)
	}
	s.read()
}

// connect begins to connect a socket.
func (s *sockets) connect(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if n := len(s.sources); n > 0 {
		s.dialled++
		// The kernel chooses the port when it connects, so that one port can
		// serve several sources and peers.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, s.sources[s.dialled%n]); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, s.peer); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return nil
}

// write sends what it can of a request, or of the rest of it.
func (s *sockets) write(user int32, c *conn, request []byte) {
	if c.state != sending {
		c.send = s.now
	}
	n, errno := sendTo(c.fd, request)
	c.sent = s.read()
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		s.broken(user, c, errno)
		return
	case n == len(request):
		c.state = awaiting
		return
	}
	c.state = sending
	c.rest = append(c.rest[:0], request[n:]...)
}

// step implements [wire]: one event, or a wait for some.
func (s *sockets) step(ctx context.Context, until time.Duration) error {
	if s.next == s.ready {
		return s.poll(ctx, until)
	}
	e := &s.events[s.next]
	s.next++
	if e.Fd >= 0 {
		if c := &s.conns[e.Fd]; c.serial == e.Pad && c.fd >= 0 {
			s.handle(e.Fd, c, e.Events)
		}
	}
	return nil
}

// poll waits for events.
func (s *sockets) poll(ctx context.Context, until time.Duration) error {
	timeout := -1
	if until <= s.now || ctx.Err() != nil {
		timeout = 0
	} else if err := s.arm(until); err != nil {
		return err
	}
	from := s.now
	n, err := unix.EpollWait(s.epoll, s.events[:], timeout)
	s.waited(from)
	s.next, s.ready = 0, max(n, 0)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("waiting for answers: %w", err)
	}
	return nil
}

// arm sets the timer, unless it will wake us before: then it is set again.
func (s *sockets) arm(until time.Duration) error {
	if s.armed > s.now && s.armed <= until {
		return nil
	}
	s.armed = until
	err := unix.TimerfdSettime(s.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(until-s.now)))}, nil)
	if err != nil {
		return fmt.Errorf("setting the load's timer: %w", err)
	}
	return nil
}

// handle deals with what happened to a connection.
func (s *sockets) handle(user int32, c *conn, events uint32) {
	switch c.state {
	case connecting:
		s.connected(user, c)
	case sending:
		if events&unix.EPOLLOUT != 0 {
			s.write(user, c, c.rest)
		}
		// An answer may come before the request is out: it was refused.
		if c.state == sending && events&unix.EPOLLIN != 0 || c.state == awaiting {
			s.receive(user, c, events)
		}
	case awaiting, reading:
		if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			s.receive(user, c, events)
		}
	case idle:
		// The service has hung up, or says what nobody has asked for.
		if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			s.drop(c)
			c.state = lost
		}
	case closed, lost: // told already
	}
}

// connected sends the request once there is a connection.
func (s *sockets) connected(user int32, c *conn) {
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		s.fail(user, c, measure.Own)
	case errno != 0:
		s.fail(user, c, classify(unix.Errno(errno), measure.Refused))
	default:
		c.connect = max(1, s.now-c.started)
		if s.plan.Mute {
			c.state, c.send, c.sent, c.first = idle, s.now, s.now, s.now
			s.tell(user, c, "")
			return
		}
		s.write(user, c, s.request(c.row))
	}
}

// receive reads what there is of an answer.
func (s *sockets) receive(user int32, c *conn, events uint32) {
	for {
		n, errno := receiveFrom(c.fd, &s.buffer)
		now := s.read()
		switch {
		case errno == unix.EAGAIN:
			return
		case errno == unix.EINTR:
			continue
		case errno != 0:
			s.broken(user, c, errno)
			return
		case n == 0:
			s.hungUp(user, c)
			return
		}
		early := c.state == sending
		if c.state != reading {
			c.state, c.first = reading, now
		}
		used, done, err := c.answer.Feed(s.buffer[:n])
		if err != nil {
			s.fail(user, c, measure.Protocol)
			return
		}
		if done {
			// Bytes beyond the answer belong to no request: the connection is
			// out of step.
			s.answered(user, c, early || used < n || c.answer.Close, events&unix.EPOLLRDHUP != 0)
			return
		}
		if n < readSize && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
			return
		}
	}
}

// answered settles a request that was answered, rightly or not. over says that
// its connection can't be used again, hup that the service has closed it.
func (s *sockets) answered(user int32, c *conn, over, hup bool) {
	over = over || s.plan.Fresh
	c.state = idle
	if over || hup {
		s.drop(c)
	}
	if hup && !over {
		c.state = lost
	}
	class := measure.Class("")
	switch {
	case !s.right[c.answer.Status]:
		class = measure.BadStatus
	case !c.answer.Found:
		class = measure.BadContent
	}
	s.tell(user, c, class)
}

// hungUp deals with the end of a connection that a request is out on: the end
// of an answer whose length nobody has told, or else a broken one.
func (s *sockets) hungUp(user int32, c *conn) {
	if c.answer.Begun() && c.answer.End() == nil {
		s.answered(user, c, true, true)
		return
	}
	s.broken(user, c, unix.ECONNRESET)
}

// broken deals with a connection that broke. If it had been idle, and nothing
// of an answer has come, the service closed it just when the request was sent:
// a race that any keep-alive client runs into, and that is run once more.
func (s *sockets) broken(user int32, c *conn, errno unix.Errno) {
	class := classify(errno, measure.Reset)
	if c.reused && !c.answer.Begun() && class == measure.Reset {
		s.drop(c)
		c.stale = true
		s.dial(user, c)
		return
	}
	s.fail(user, c, class)
}

func (s *sockets) fail(user int32, c *conn, class measure.Class) {
	s.drop(c)
	s.tell(user, c, class)
}

func (s *sockets) tell(user int32, c *conn, class measure.Class) {
	st := stamps{send: c.send, sent: c.sent, first: c.first, done: s.now, connect: c.connect}
	s.settle(user, st, class, c.answer.Status, c.stale)
}

// hangUp implements [wire].
func (s *sockets) hangUp(user int32) {
	if int(user) < len(s.conns) {
		s.drop(&s.conns[user])
	}
}

// drop closes a connection. The kernel takes it out of the epoll set.
func (s *sockets) drop(c *conn) {
	if c.fd >= 0 {
		_ = unix.Close(int(c.fd)) // nothing is lost: the connection is done with
	}
	c.fd, c.state = -1, closed
}

func sockaddr(a netip.AddrPort) (family int, to unix.Sockaddr) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// sourcePorts is how many connections are made from one source address. Linux
// has 28,232 ports for them, and searches all of one half of those in vain
// before it takes one of the other: from some 14,000 on, connecting takes a
// hundred times as long, in which the loop does nothing else.
const sourcePorts = 12000

// sources returns the addresses to connect from. To a service on loopback it
// may be any of 127.0.0.0/8, so that ports never run out.
func sources(plan *Plan, to netip.AddrPort) []unix.Sockaddr {
	const fresh = 8 // addresses, where every request opens a connection: closed ones rest for a minute
	n := plan.peak()/sourcePorts + 1
	if plan.Fresh {
		n = max(n, fresh)
	}
	if n == 1 || !to.Addr().Unmap().Is4() || !to.Addr().Unmap().IsLoopback() {
		return nil
	}
	var out []unix.Sockaddr
	for i := range n {
		out = append(out, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + i)}})
	}
	return out
}

// sendTo and receiveFrom go to the kernel without telling Go's scheduler: the
// sockets don't block, so there is no time in which another goroutine could
// run, and telling it costs as much as the rest of the call.

func sendTo(fd int32, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func receiveFrom(fd int32, b *[readSize]byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(b)), readSize, 0, 0, 0)
	return int(n), errno
}
