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
	MsgAdd    = "add"    // Entry: a new record, and further descriptors
	MsgUpdate = "update" // Entry: a new record, the descriptors stay
	MsgRemove = "remove" // Entry: only the key counts
	MsgReady  = "ready"  // the controller has taken everything over and serves
	MsgAlive  = "alive"  // the controller's main loop answers the guardian's MsgAlive; nothing else proves that it runs

	// Guardian to controller.
	MsgEntry    = "entry"    // Entry, with its descriptors: one of what the store holds
	MsgStored   = "stored"   // Stored: the store has been told whole
	MsgAdded    = "added"    // Entry, only the key counts: what MsgAdd brought is in the store
	MsgExited   = "exited"   // Exited: an adopted process has ended
	MsgShutdown = "shutdown" // end everything in an orderly way
	// MsgAlive, once a second: answer if you can
)

// Entry is one thing that outlives the controller: a buffer, a listening socket or a process.
type Entry struct {
	Kind   string          `json:"kind"`
	Key    string          `json:"key"` // unique within its kind
	Record json.RawMessage `json:"record,omitempty"`
	Brief  int             `json:"brief,omitempty"` // so many of the descriptors that come along, the last, need not outlive the guardian
	Lost   bool            `json:"lost,omitempty"`  // it had descriptors that did not outlive a guardian; there are none
}

// Stored ends the telling of the store.
type Stored struct {
	Starts int  `json:"starts"`           // how often a controller was started, this one included
	Kept   bool `json:"kept"`             // what the store holds outlives the guardian
	Behind bool `json:"behind,omitempty"` // a guardian has died: what it was told last may not be among it
}

// Exited says how a process ended whose parent, an earlier controller, is gone.
type Exited struct {
	PID    int    `json:"pid"`
	Status string `json:"status"`
}

// Handed is an entry as a new controller gets it. The files are its own.
type Handed struct {
	Entry
	Files []*os.File

	// In the guardian, where it is kept:
	number int64 // in the journal
	kept   []keptFile
}

// keptFile tells of one of an entry's files.
type keptFile struct {
	brief bool
	name  string // in systemd's store, empty while it is not there
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
	return c.send(MsgPut, Entry{Kind: kind, Key: key}, record, files...)
}

// Add gives a key a new record and further files. Those that are brief need not outlive the guardian. It is answered with
// MsgAdded.
func (c *Client) Add(kind, key string, record any, lasting, brief []*os.File) error {
	return c.send(MsgAdd, Entry{Kind: kind, Key: key, Brief: len(brief)}, record, append(slices.Clone(lasting), brief...)...)
}

// Update replaces the record of a key.
func (c *Client) Update(kind, key string, record any) error {
	return c.send(MsgUpdate, Entry{Kind: kind, Key: key}, record)
}

// Remove forgets a key and closes the store's copies of its files.
func (c *Client) Remove(kind, key string) error {
	return c.send(MsgRemove, Entry{Kind: kind, Key: key}, nil)
}

// Ready tells the guardian that the controller serves.
func (c *Client) Ready() error { return c.conn.SendWithin(storeWait, MsgReady, nil) }

// Alive answers the guardian's MsgAlive. It never waits.
func (c *Client) Alive() error { return c.conn.Send(MsgAlive, nil) }

// Recv waits for the guardian's next word: MsgAlive, MsgAdded, MsgExited or MsgShutdown.
func (c *Client) Recv() (control.Message, error) {
	m, _, err := c.conn.Recv()
	return m, err
}

func (c *Client) send(message string, e Entry, record any, files ...*os.File) error {
	if record != nil {
		b, err := json.Marshal(record)
		if err != nil {
			return fmt.Errorf("store %s %s: %w", e.Kind, e.Key, err)
		}
		e.Record = b
	}
	if err := c.conn.SendWithin(storeWait, message, e, files...); err != nil {
		return fmt.Errorf("store %s %s: %w", e.Kind, e.Key, err)
	}
	return nil
}

// store is the guardian's side: descriptors and records by kind and key, in order of arrival.
type store struct {
	entries map[entryID]*Handed
	order   []entryID

	// Where it outlives this process:
	keeper     keeper // nil where it does not
	journal    *journal
	stale      bool // the journal could not be written
	controller *mark
	numbers    int64            // of entries
	names      int64            // of files
	unkept     map[entryID]bool // entries of which a file is not kept
}

type entryID struct{ kind, key string }

func (e *Entry) id() entryID { return entryID{e.Kind, e.Key} }

var errUnknownEntry = errors.New("the store has no such entry")

func newStore() *store { return &store{entries: map[entryID]*Handed{}, unkept: map[entryID]bool{}} }

func (s *store) apply(m control.Message, files []*os.File) error {
	var e Entry
	if err := m.Decode(&e); err != nil {
		closeAll(files)
		return err
	}
	id := e.id()
	old := s.entries[id]
	if old == nil && (m.Type == MsgAdd || m.Type == MsgUpdate) {
		closeAll(files)
		return fmt.Errorf("%w: %s %s", errUnknownEntry, e.Kind, e.Key)
	}
	switch m.Type {
	case MsgPut:
		h := &Handed{Entry: Entry{Kind: e.Kind, Key: e.Key}}
		h.add(e, files)
		s.entries[id] = h
		if old != nil {
			h.number = old.number
			s.release(old)
			closeAll(old.Files)
		} else {
			s.numbers++
			h.number = s.numbers
			s.order = append(s.order, id)
		}
		s.keep(h)
	case MsgAdd:
		old.add(e, files)
		s.keep(old)
	case MsgUpdate:
		closeAll(files)
		old.add(e, nil)
		s.keep(old)
	case MsgRemove:
		closeAll(files)
		if old == nil {
			return nil
		}
		delete(s.entries, id)
		s.order = slices.DeleteFunc(s.order, func(o entryID) bool { return o == id })
		s.forget(old)
		closeAll(old.Files)
	default:
		closeAll(files)
		return fmt.Errorf("%w: %s", control.ErrMalformed, m.Type)
	}
	return nil
}

// add gives an entry the record and the files of another word about it.
func (h *Handed) add(e Entry, files []*os.File) {
	h.Record = e.Record
	for i := range files {
		h.kept = append(h.kept, keptFile{brief: i >= len(files)-e.Brief})
	}
	h.Files = append(h.Files, files...)
}

// tell sends everything to a new controller, which reads at once.
func (s *store) tell(conn *control.Conn, starts int, behind bool) error {
	for _, id := range s.order {
		h := s.entries[id]
		if err := conn.SendWithin(storeWait, MsgEntry, h.Entry, h.Files...); err != nil {
			return fmt.Errorf("hand over %s %s: %w", id.kind, id.key, err)
		}
	}
	return conn.SendWithin(storeWait, MsgStored, Stored{Starts: starts, Kept: s.keeper != nil, Behind: behind})
}

// close forgets everything.
func (s *store) close() {
	for _, h := range s.entries {
		s.forget(h)
		closeAll(h.Files)
	}
	s.entries, s.order = map[entryID]*Handed{}, nil
	s.endKeeping()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
