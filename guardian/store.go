package guardian

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"brume/control"
)

// Types of the messages between the guardian and the controller.
const (
	// Controller to guardian.
	MsgPut    = "put"    // Entry, with its descriptors; replaces one of the same key
	MsgUpdate = "update" // Entry: a new record, the descriptors stay
	MsgRemove = "remove" // Entry: only the key counts
	MsgReady  = "ready"  // the controller has taken everything over and serves

	// Guardian to controller.
	MsgEntry    = "entry"    // Entry, with its descriptors: one of what the store holds
	MsgStored   = "stored"   // Stored: the store has been told whole
	MsgExited   = "exited"   // Exited: an adopted process has ended
	MsgShutdown = "shutdown" // end everything in an orderly way
)

// Entry is one thing that outlives the controller: a buffer, a listening socket or a process.
type Entry struct {
	Kind   string          `json:"kind"`
	Key    string          `json:"key"` // unique within its kind
	Record json.RawMessage `json:"record,omitempty"`
}

// Stored ends the telling of the store.
type Stored struct {
	Starts int  `json:"starts"` // how often a controller was started, this one included
	Kept   bool `json:"kept"`   // what the store holds outlives the guardian
}

// Exited tells how a process ended whose parent, an earlier controller, is gone.
type Exited struct {
	PID    int    `json:"pid"`
	Status string `json:"status"`
}

// Handed is an entry as a new controller gets it. The files are its own.
type Handed struct {
	Entry
	Files []*os.File

	place place // where it is kept, in the guardian
}

// Client is the controller's side of the store.
type Client struct {
	conn *control.Conn
}

// storeWait bounds how long controller and guardian wait for each other to read.
const storeWait = 5 * time.Second

// NewClient speaks to the guardian over the control socket that a controller is started with.
func NewClient(conn *control.Conn) *Client { return &Client{conn: conn} }

// Load reads what the store holds, before anything else is said.
func (c *Client) Load() ([]Handed, Stored, error) {
	var all []Handed
	for {
		m, files, err := c.conn.Recv()
		if err != nil {
			return all, Stored{}, fmt.Errorf("read the store: %w", err)
		}
		switch m.Type {
		case MsgEntry:
			h := Handed{Files: files}
			if err := m.Decode(&h.Entry); err != nil {
				return all, Stored{}, err
			}
			all = append(all, h)
		case MsgStored:
			var s Stored
			return all, s, m.Decode(&s)
		}
	}
}

// Put keeps files and a record under a key. The files stay the caller's.
func (c *Client) Put(kind, key string, record any, files ...*os.File) error {
	return c.send(MsgPut, kind, key, record, files...)
}

// Update replaces the record of a key.
func (c *Client) Update(kind, key string, record any) error {
	return c.send(MsgUpdate, kind, key, record)
}

// Remove forgets a key and closes the store's copies of its files.
func (c *Client) Remove(kind, key string) error {
	return c.send(MsgRemove, kind, key, nil)
}

// Ready tells the guardian that the controller serves.
func (c *Client) Ready() error { return c.conn.SendWithin(storeWait, MsgReady, nil) }

// Recv waits for the guardian's next word: MsgExited or MsgShutdown.
func (c *Client) Recv() (control.Message, error) {
	m, _, err := c.conn.Recv()
	return m, err
}

func (c *Client) send(message, kind, key string, record any, files ...*os.File) error {
	e := Entry{Kind: kind, Key: key}
	if record != nil {
		b, err := json.Marshal(record)
		if err != nil {
			return fmt.Errorf("store %s %s: %w", kind, key, err)
		}
		e.Record = b
	}
	if err := c.conn.SendWithin(storeWait, message, e, files...); err != nil {
		return fmt.Errorf("store %s %s: %w", kind, key, err)
	}
	return nil
}

// store is the guardian's side: descriptors and records by kind and key, in order of arrival.
type store struct {
	entries map[entryID]*Handed
	order   []entryID
	keeper  keeper // nil where nothing outlives this process
	numbers int    // of entries that are kept
}

type entryID struct{ kind, key string }

var errUnknownEntry = errors.New("the store has no such entry")

func newStore() *store { return &store{entries: map[entryID]*Handed{}} }

func (s *store) apply(m control.Message, files []*os.File) error {
	var e Entry
	if err := m.Decode(&e); err != nil {
		closeAll(files)
		return err
	}
	id := entryID{e.Kind, e.Key}
	old := s.entries[id]
	switch m.Type {
	case MsgPut:
		h := &Handed{Entry: e, Files: files}
		if old != nil {
			s.forget(old) // first: systemd does not store twice what is the same file
		}
		s.keep(h)
		if old != nil {
			closeAll(old.Files)
		} else {
			s.order = append(s.order, id)
		}
		s.entries[id] = h
		return nil
	case MsgUpdate:
		closeAll(files)
		if old == nil {
			return fmt.Errorf("%w: %s %s", errUnknownEntry, e.Kind, e.Key)
		}
		old.Record = e.Record
		s.change(old)
	case MsgRemove:
		closeAll(files)
		if old == nil {
			return nil
		}
		s.forget(old)
		closeAll(old.Files)
		delete(s.entries, id)
		s.order = slices.DeleteFunc(s.order, func(o entryID) bool { return o == id })
	default:
		closeAll(files)
		return fmt.Errorf("%w: %s", control.ErrMalformed, m.Type)
	}
	return nil
}

// tell sends everything to a new controller, which reads at once.
func (s *store) tell(conn *control.Conn, starts int) error {
	for _, id := range s.order {
		h := s.entries[id]
		if err := conn.SendWithin(storeWait, MsgEntry, h.Entry, h.Files...); err != nil {
			return fmt.Errorf("hand over %s %s: %w", id.kind, id.key, err)
		}
	}
	return conn.SendWithin(storeWait, MsgStored, Stored{Starts: starts, Kept: s.keeper != nil})
}

// close forgets everything.
func (s *store) close() {
	for _, h := range s.entries {
		s.forget(h)
		closeAll(h.Files)
	}
	s.entries, s.order = map[entryID]*Handed{}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
