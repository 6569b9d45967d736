package relay

import (
	"container/heap"
	"sync"
	"time"
)

// schedule runs things when they are due, in order, on one goroutine.
type schedule struct {
	mu     sync.Mutex
	queue  queue
	order  uint64
	closed bool
	wake   chan struct{} // the first due has changed
	done   chan struct{}
}

type item struct {
	due   time.Time
	order uint64 // among those that are due at once
	run   func()
}

func newSchedule() *schedule {
	s := &schedule{wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.loop()
	return s
}

// at runs something at a time, behind everything that is due then.
func (s *schedule) at(due time.Time, run func()) {
	s.mu.Lock()
	s.order++
	i := item{due, s.order, run}
	heap.Push(&s.queue, i)
	first := s.queue[0].order == i.order
	s.mu.Unlock()
	if first {
		s.nudge()
	}
}

func (s *schedule) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// close forgets what is not due yet.
func (s *schedule) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.nudge()
	<-s.done
}

func (s *schedule) loop() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait, closed := s.runDue()
		if closed {
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// runDue runs what is due and returns how long the next one has.
func (s *schedule) runDue() (wait time.Duration, closed bool) {
	for {
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			return 0, true
		case len(s.queue) == 0:
			s.mu.Unlock()
			return time.Hour, false
		}
		if wait = time.Until(s.queue[0].due); wait > 0 {
			s.mu.Unlock()
			return wait, false
		}
		i := heap.Pop(&s.queue).(item)
		s.mu.Unlock()
		i.run()
	}
}

// queue implements heap.Interface.
type queue []item

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].order < q[j].order
	}
	return q[i].due.Before(q[j].due)
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *queue) Push(x any) { *q = append(*q, x.(item)) }

func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = item{}
	*q = old[:len(old)-1]
	return last
}
