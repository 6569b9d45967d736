package mpegts

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"brume/media"
)

// paramSet is a stored parameter set.
type paramSet struct {
	kind uint8
	id   uint8
	ref  uint8 // of a picture parameter set: the sequence parameter set; of that: the video parameter set
	seen bool  // in the unit at hand
	data []byte
}

// paramSets are the parameter sets of a stream in the order of kind and id.
type paramSets struct {
	sequence uint8 // nal_unit_type of a sequence parameter set
	video    uint8 // of a video parameter set, 0: the codec has none

	sets    []paramSet
	made    *params // of the last picture that a decoder may begin at
	scratch []byte
}

// known reports whether the very same set is stored, without reading it.
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
	set := paramSet{kind: kind, id: uint8(id), ref: uint8(ref), seen: true, data: bytes.Clone(b)}
	if !p.room(set) { // make some: sets that do not come again are of no use
		p.sets = slices.DeleteFunc(p.sets, func(s paramSet) bool { return !s.seen })
		if !p.room(set) {
			return false
		}
	}
	at, found := slices.BinarySearchFunc(p.sets, set, paramSet.order)
	if !found {
		p.sets = slices.Insert(p.sets, at, set)
	}
	p.sets[at] = set
	return true
}

// room reports whether there is room for a set, in place of the one with its id.
func (p *paramSets) room(set paramSet) bool {
	size := len(set.data) + 4
	for _, s := range p.sets {
		if s.order(set) != 0 {
			size += len(s.data) + 4
		}
	}
	return size <= media.MaxConfigSize
}

func (s paramSet) order(o paramSet) int {
	return cmp.Or(cmp.Compare(s.kind, o.kind), cmp.Compare(s.id, o.id))
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

// at returns the parameters of a picture that refers to a picture parameter set (nil: one that is not known), nil where
// something is missing. It is called where each picture begins. entry: a decoder may begin here; others keep the parameters of the last one, as they
// bring along what has changed.
//
// The parameters are the sequence's own sets. A picture to begin at brings all those that are needed from then on, so
// picture parameter sets that it does not bring along are left out.
func (p *paramSets) at(codec media.Codec, picture *paramSet, entry bool) *params {
	var sequence *paramSet
	if picture != nil {
		sequence = p.find(p.sequence, int(picture.ref))
	}
	complete := sequence != nil && (p.video == 0 || slices.ContainsFunc(p.sets, func(s paramSet) bool { return s.kind == p.video }))
	if complete && entry {
		p.build(sequence, picture)
		if p.made == nil || !bytes.Equal(p.made.config, p.scratch) {
			p.made = &params{codec, bytes.Clone(p.scratch)}
		}
	}
	for i := range p.sets {
		p.sets[i].seen = false
	}
	if !complete {
		return nil // no decoder could read it
	}
	return p.made
}

// build puts together the configuration of a picture, in the order of kind and id.
func (p *paramSets) build(sequence, picture *paramSet) {
	brought := false
	for i := range p.sets {
		s := &p.sets[i]
		brought = brought || s.kind == picture.kind && s.ref == sequence.id && s.seen
	}
	video := p.find(p.video, int(sequence.ref))
	p.scratch = p.scratch[:0]
	for i := range p.sets {
		s := &p.sets[i]
		switch s.kind {
		case sequence.kind:
			if s != sequence {
				continue
			}
		case picture.kind:
			if s.ref != sequence.id || brought && !s.seen && s != picture {
				continue
			}
		default:
			if video != nil && s != video {
				continue
			}
		}
		p.scratch = binary.BigEndian.AppendUint32(p.scratch, uint32(len(s.data)))
		p.scratch = append(p.scratch, s.data...)
	}
}
