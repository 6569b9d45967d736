package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"brume/buffer"
	"brume/control"
	"brume/gate"
	"brume/media"
	"brume/outputs/hls"
)

// Options are what Run needs to know of its process.
type Options struct {
	Files            uint64       // limit of open files, RLIMIT_NOFILE; 0 for none
	Sandbox, Missing []string     // layers in force and lacking, for the Hello
	Player           http.Handler // serves the player page for any stream
	Page             http.Handler // serves /
	Assets           http.Handler // serves what they load
}

// server is the http process.
type server struct {
	ctl  *control.Conn
	log  *slog.Logger
	o    Options
	http *http.Server
	gate *gate.Gate
	most carries

	demand demand

	keepQuery atomic.Bool

	mu        sync.RWMutex
	streams   map[string]*served
	addresses []string
	counts    counts
	wg        sync.WaitGroup
}

// served is a stream and its buffer.
type served struct {
	id     uint64
	name   string
	hls    *hls.Stream
	reader *buffer.Reader
	views  counter
	why    atomic.Pointer[string] // what is wrong with the stream's source, nil or empty where nothing is known to be

	mu         sync.Mutex
	unplayable string          // why there is nothing to play, empty while there is
	playing    context.Context // over when there is nothing to play any more
	over       context.CancelFunc
	told       hls.Faults // that are in the log
}

// Run serves until the control socket ends, ctx does, or the controller says so.
func Run(ctx context.Context, ctl *control.Conn, log *slog.Logger, o Options) error {
	most := carriedBy(o.Files)
	s := &server{ctl: ctl, log: log, o: o, streams: map[string]*served{}, gate: gate.New(most.connections), most: most, demand: demand{wanted: map[string]*wish{}}}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.gate.Watch(s.http)
	stop := context.AfterFunc(ctx, func() { _ = ctl.Close() })
	defer stop()
	defer s.close()
	if err := s.hello(); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go s.tick(done)
	for {
		m, files, err := ctl.Recv()
		switch {
		case errors.Is(err, control.ErrMalformed):
			s.counts.malformed.add(1)
			continue
		case errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed):
			return nil // controller and guardian are gone, or we are told to end
		case err != nil:
			return err
		}
		if m.Type == MsgClose {
			s.drain()
			return nil
		}
		s.hear(m, files)
	}
}

func (s *server) hear(m control.Message, files []*os.File) {
	var failed Failed
	var err error
	switch m.Type {
	case MsgListen:
		err = s.listen(files)
	case MsgLimits:
		var l Limits
		if err = m.Decode(&l); err == nil {
			s.gate.SetPerAddress(l.PerAddress)
			s.keepQuery.Store(l.KeepQuery)
		}
	case MsgStream:
		var stream Stream
		if err = m.Decode(&stream); err == nil && len(files) != 1 {
			err = fmt.Errorf("%d descriptors instead of 1", len(files))
		}
		failed.Stream, failed.ID = stream.Name, stream.ID
		if err == nil {
			err = s.add(stream, files[0])
		} else {
			closeAll(files)
		}
	case MsgRemove:
		var r Remove
		if err = m.Decode(&r); err == nil {
			s.remove(r)
		}
	case MsgDemand:
		var d Demand
		if err = m.Decode(&d); err == nil {
			s.demand.set(d.Sources)
		}
	case MsgSource:
		var source Source
		if err = m.Decode(&source); err == nil {
			s.demand.answered(source)
			if one := s.stream(source.Name); one != nil {
				one.why.Store(&source.Why)
			}
		}
	case MsgReport:
		err = s.hello()
		s.report()
	default:
		closeAll(files)
		err = fmt.Errorf("%w: unknown type", control.ErrMalformed)
	}
	if err != nil {
		failed.Message, failed.Detail = m.Type, err.Error()
		s.log.Error("can't do as the controller says", "message", m.Type, "stream", failed.Stream, "error", err)
		_ = s.ctl.Send(MsgFailed, failed)
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

func (s *server) hello() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ctl.Send(MsgHello, Hello{PID: os.Getpid(), Addresses: s.addresses, Sandbox: s.o.Sandbox, Missing: s.o.Missing})
}

// listen serves on sockets that are not served yet.
func (s *server) listen(files []*os.File) error {
	defer closeAll(files)
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		address := l.Addr().String()
		if !s.newAddress(address) {
			_ = l.Close()
			continue
		}
		s.wg.Go(func() {
			if err := s.http.Serve(s.gate.Listener(l)); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("an HTTP port is not served any more", "address", address, "error", err)
			}
		})
	}
	return s.hello()
}

func (s *server) newAddress(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.addresses) == MaxListeners {
		return false
	}
	for _, a := range s.addresses {
		if a == address {
			return false
		}
	}
	s.addresses = append(s.addresses, address)
	return true
}

// add serves a stream, in place of one of the same name with another buffer.
func (s *server) add(stream Stream, f *os.File) error {
	defer f.Close()
	if !media.ValidName(stream.Name) {
		return fmt.Errorf("%q is no stream name", stream.Name)
	}
	s.mu.RLock()
	old, n := s.streams[stream.Name], len(s.streams)
	s.mu.RUnlock()
	if old != nil && old.id == stream.ID {
		old.setUnplayable(stream.Unplayable)
		return nil
	}
	if old == nil && n >= MaxStreams {
		return fmt.Errorf("more than %d streams", MaxStreams)
	}
	reader, err := buffer.OpenReader(f)
	if err != nil {
		return err
	}
	next := &served{id: stream.ID, name: stream.Name, reader: reader, hls: hls.NewStream(stream.Name, reader, hls.Options{CacheFiles: s.most.cacheFiles, KeepQuery: s.keepQuery.Load})}
	next.setUnplayable(stream.Unplayable)
	s.mu.Lock()
	s.streams[stream.Name] = next
	s.mu.Unlock()
	s.demand.decide(stream.Name, arrived)
	if old != nil {
		old.close()
	}
	return nil
}

func (s *server) remove(r Remove) {
	s.mu.Lock()
	old := s.streams[r.Name]
	if old == nil || old.id != r.ID {
		s.mu.Unlock()
		return
	}
	delete(s.streams, r.Name)
	s.mu.Unlock()
	old.close()
}

func (s *served) close() {
	_ = s.hls.Close() // waits for who still reads
	_ = s.reader.Close()
}

func (s *server) stream(name string) *served {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.streams[name]
}

// drain lets what runs finish, within the grace.
func (s *server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), CloseGrace)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Debug("requests were cut off", "error", err)
	}
}

func (s *server) close() {
	_ = s.http.Close()
	s.wg.Wait()
	s.mu.Lock()
	all := s.streams
	s.streams = map[string]*served{}
	s.mu.Unlock()
	for _, one := range all {
		one.close()
	}
	_ = s.ctl.Close()
}

// tick reports once a second.
func (s *server) tick(done <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			s.report()
		}
	}
}
