package mpegts

import "brume/media/bits"

// jocComplexity returns the complexity index of the objects (Joint Object Coding, as of Dolby Atmos) that a syncframe of E-AC-3
// carries, 1 to 16; 0 where it has none (ETSI TS 103 420 8.3: it stands in addbsi, at the end of the bit stream information of
// ETSI TS 102 366 table E.1.2).
func jocComplexity(b []byte) byte {
	r := &bits.Reader{Data: b, Pos: 16}
	s := bsi{kind: r.Read(2)}
	r.Read(3 + 11) // substreamid, frmsiz
	s.rate, s.blocks = r.Read(2), r.Read(2)
	if s.rate == 3 {
		s.blocks = 3 // numblkscod is not told: fscod2 stands in its place
	}
	s.mode, s.lfe = r.Read(3), r.Flag()
	r.Read(5) // bsid
	for range s.programs() {
		r.Read(5) // dialnorm
		optional(r, 8)
	}
	if s.kind == 1 {
		optional(r, 16) // chanmap
	}
	if r.Flag() {
		s.mixing(r)
	}
	if r.Flag() {
		s.information(r)
	}
	if s.kind == 0 && s.blocks != 3 {
		r.Read(1) // convsync
	}
	if s.kind == 2 && (s.blocks == 3 || r.Flag()) {
		r.Read(6) // frmsizecod
	}
	if !r.Flag() {
		return 0
	}
	size := r.Read(6) + 1
	r.Read(7)
	if joc := r.Flag(); size < 2 || !joc {
		return 0
	}
	if n := byte(r.Read(8)); n <= 16 && !r.Over() {
		return n
	}
	return 0
}

// bsi is what the fields of bit stream information depend on.
type bsi struct {
	kind   uint32 // strmtyp
	rate   uint32 // fscod
	blocks uint32 // numblkscod
	mode   uint32 // acmod
	lfe    bool
}

// programs is 2 for two mono programs in one.
func (s *bsi) programs() int {
	if s.mode == 0 {
		return 2
	}
	return 1
}

// optional passes over a field of n bits and the flag that says whether it is there.
func optional(r *bits.Reader, n int) {
	if r.Flag() {
		r.Pos += n
	}
}

// mixing passes over the mixing metadata.
func (s *bsi) mixing(r *bits.Reader) {
	if s.mode > 2 {
		r.Read(2) // dmixmod
	}
	if s.mode > 2 && s.mode&1 != 0 {
		r.Read(3 + 3) // ltrtcmixlev, lorocmixlev
	}
	if s.mode&4 != 0 {
		r.Read(3 + 3) // ltrtsurmixlev, lorosurmixlev
	}
	if s.lfe {
		optional(r, 5) // lfemixlevcod
	}
	if s.kind != 0 {
		return
	}
	for range s.programs() {
		optional(r, 6) // pgmscl
	}
	optional(r, 6)     // extpgmscl
	switch r.Read(2) { // mixdef
	case 1:
		r.Read(5)
	case 2:
		r.Read(12)
	case 3:
		n := int(r.Read(5))
		r.Pos += 8 * (n + 2)
	}
	if s.mode < 2 {
		for range s.programs() {
			optional(r, 8+6) // panmean, paninfo
		}
	}
	if !r.Flag() { // frmmixcfginfoe
		return
	}
	if s.blocks == 0 {
		r.Read(5)
		return
	}
	for range [4]int{1, 2, 3, 6}[s.blocks] {
		optional(r, 5)
	}
}

// information passes over the informational metadata.
func (s *bsi) information(r *bits.Reader) {
	r.Read(3 + 1 + 1) // bsmod, copyrightb, origbs
	if s.mode == 2 {
		r.Read(2 + 2) // dsurmod, dheadphonmod
	}
	if s.mode >= 6 {
		r.Read(2) // dsurexmod
	}
	for range s.programs() {
		optional(r, 5+2+1) // mixlevel, roomtyp, adconvtyp
	}
	if s.rate < 3 {
		r.Read(1) // sourcefscod
	}
}
