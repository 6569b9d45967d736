package mpegts

import (
	"bytes"
	"encoding/binary"

	"brume/media"
)

// paramSet is a stored parameter set.
type paramSet struct {
	kind uint8
	id   uint8
	ref  uint8 // of a picture parameter set: the sequence parameter set
	seen bool  // in the unit at hand
	data []byte
}

// paramSets are the parameter sets of a stream in the order of kind and id.
type paramSets struct {
	sets    []paramSet
	changed bool
	made    *params
}

// known tells whether the very same set is stored, without reading it.
func (p *paramSets) known(kind uint8, b []byte) bool {
	for i := range p.sets {
		if s := &p.sets[i]; s.kind == kind && bytes.Equal(s.data, b) {
			s.seen = true
			return true
		}
	}
	return false
}

// store keeps a set, in place of the one with its id. It refuses what exceeds media.MaxConfigSize.
func (p *paramSets) store(kind uint8, id, ref int, b []byte) bool {
	size, at := len(b)+4, 0
	for i := range p.sets {
		s := &p.sets[i]
		if s.kind == kind && int(s.id) == id {
			continue
		}
		size += len(s.data) + 4
		if s.kind < kind || s.kind == kind && int(s.id) < id {
			at = i + 1
		}
	}
	if size > media.MaxConfigSize {
		return false
	}
	set := paramSet{kind: kind, id: uint8(id), ref: uint8(ref), seen: true, data: bytes.Clone(b)}
	p.changed = true
	for i := range p.sets {
		if s := &p.sets[i]; s.kind == kind && int(s.id) == id {
			p.sets[i] = set
			return true
		}
	}
	p.sets = append(p.sets, paramSet{})
	copy(p.sets[at+1:], p.sets[at:])
	p.sets[at] = set
	return true
}

// find returns the set with this id.
func (p *paramSets) find(kind uint8, id int) *paramSet {
	for i := range p.sets {
		if s := &p.sets[i]; s.kind == kind && int(s.id) == id {
			return s
		}
	}
	return nil
}

// params returns the parameters as of now, nil without one set of each kind. It is called
// where a picture begins: sets that came with it replace all that did not.
func (p *paramSets) params(codec media.Codec, kinds ...uint8) *params {
	if p.changed {
		p.changed = false
		seen := 0
		for _, k := range kinds {
			for i := range p.sets {
				if p.sets[i].kind == k && p.sets[i].seen {
					seen++
					break
				}
			}
		}
		kept := p.sets[:0]
		var config []byte
		var have uint32
		for _, s := range p.sets {
			if seen == len(kinds) && !s.seen {
				continue
			}
			kept = append(kept, s)
			have |= 1 << (s.kind & 31)
			config = binary.BigEndian.AppendUint32(config, uint32(len(s.data)))
			config = append(config, s.data...)
		}
		p.sets = kept
		p.made = nil
		for _, k := range kinds {
			if have&(1<<(k&31)) == 0 {
				config = nil
			}
		}
		if config != nil {
			p.made = &params{codec, config}
		}
	}
	for i := range p.sets {
		p.sets[i].seen = false
	}
	return p.made
}
