package mpegts

import "brume/media/h26x"

// unitCodec is what differs between H.264 and H.265.
type unitCodec interface {
	// look takes the next NAL unit of the stream and says what it means for the unit at hand.
	look(kind uint8, b []byte) meaning
	// close ends the unit at hand and says what it was.
	close() unitInfo
	// empty reports that there is no picture in the unit at hand.
	empty() bool
	// half reports that the unit at hand is a field whose other one may follow.
	half() bool
	// kind is the nal_unit_type.
	kind(first byte) uint8
	// starts reports whether a NAL unit can begin an access unit.
	starts(b []byte) bool
}

// meaning is what a NAL unit means for the access unit at hand.
type meaning uint8

const (
	part      meaning = iota // belongs to it
	before                   // begins another if a picture follows
	delimiter                // the same, and is not passed on
	picture                  // is the first of the first picture
	boundary                 // is the first of another picture, which begins another unit
	second                   // is the first of the other field of the unit
	drop                     // belongs to it and is not passed on
	bad                      // can't be read
)

// unitInfo is what is told of a whole access unit.
type unitInfo struct {
	random  bool
	closed  bool // see unit
	gradual bool // the same
	marking h26x.H264Marking
	params  *params // of the last random access point; nil: there was none, or not known
	rate    float64 // pictures per second, 0: not known
	depth   int     // so many pictures may precede one in decoding order and follow it in output order, as far as known
	// interval is the longest distance of key frames in pictures, where the unit holds the options of an encoder that
	// also cuts at scene changes; 0: not known.
	interval int
}
