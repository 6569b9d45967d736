package httpd

import (
	"context"
	"net/http"
)

// setUnplayable takes what the controller says of a stream: why there is nothing to play, or that there is something (empty).
// Who waits for something to play need not wait any longer.
func (s *served) setUnplayable(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unplayable = why
	if s.playing == nil || why == "" && s.playing.Err() != nil {
		s.playing, s.over = context.WithCancel(context.Background())
	}
	if why != "" {
		s.over()
	}
}

// state returns why there is nothing to play, and what ends when there is nothing any more.
func (s *served) state() (why string, playing context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unplayable, s.playing
}

// serve answers a request for what is below /hls/{stream}/. Playlists are refused while there is nothing to play, and so are
// those that are waited for when that begins; what is still in the buffer can be fetched.
func (s *served) serve(a *answer, r *http.Request, path string) {
	why, playing := s.state()
	if a.route != RoutePlaylist {
		s.hls.ServeHTTP(a, r, path)
		return
	}
	if why == "" {
		ctx, cancel := context.WithCancel(r.Context())
		stop := context.AfterFunc(playing, cancel)
		s.hls.ServeHTTP(a, r.WithContext(ctx), path)
		stop()
		cancel()
		why, _ = s.state()
	}
	if a.status == 0 && why != "" {
		plain(a, http.StatusUnsupportedMediaType, why)
	}
}
