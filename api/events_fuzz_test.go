package api

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzLastEventID lets a client claim to know any event: it is told each event after that once and in order, or all of them
// with a word that there may have been more.
func FuzzLastEventID(f *testing.F) {
	e := NewEvents(time.Unix(1, 0))
	for range eventRing + 50 {
		emit(e, EventLive, "a")
	}
	for _, id := range []string{e.id(0), e.id(49), e.id(50), e.id(1049), e.id(1050), e.id(1051), e.boot, "-", "x-1", e.boot + "-+7", e.boot + "-0007"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, last string) {
		s, err := e.Subscribe(EventFilter{}, last)
		require.NoError(t, err)
		defer e.Unsubscribe(s)
		all := s.backlog
		if last == "" || last == e.id(e.last) {
			require.Empty(t, all)
			return
		}
		next := e.last - uint64(len(all)) + 1
		if len(all) > 0 && all[0].kind == EventMissed {
			require.Len(t, all, eventRing+1)
			all, next = all[1:], e.last-eventRing+1
		} else {
			require.True(t, strings.HasPrefix(last, e.boot+"-"))
		}
		for i := range all {
			require.Equal(t, next+uint64(i), all[i].number)
			require.Equal(t, EventLive, all[i].kind)
		}
	})
}
