package observe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Bounds of one request and of the end of the server.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	endTimeout   = 2 * time.Second
)

// Server serves one handler on one address.
type Server struct {
	listener net.Listener
	http     http.Server
}

// Listen opens the address, so that one that is in use is found before anything
// else starts; port 0 takes a free one.
//
// # Errors
//
// What the system says, and which setting to change.
func Listen(setting, addr string, h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: give another address, or \"\" for none", setting, err)
	}
	return &Server{listener: l, http: http.Server{Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout}}, nil
}

// Addr returns the address that is listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends a server that was not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until the context ends and the requests under way are answered.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := s.http.Shutdown(end); err != nil {
		err = s.http.Close()
		<-ended
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	}
	return nil
}
