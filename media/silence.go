package media

// Syntactic elements of a raw_data_block (ISO/IEC 14496-3 table 4.85).
const (
	elementSingle = 0 // single_channel_element
	elementPair   = 1 // channel_pair_element
	elementLFE    = 3 // lfe_channel_element
	elementEnd    = 7
)

// layouts are the elements of each channelConfiguration in their order (ISO/IEC 14496-3 table 1.19).
var layouts = [8][]uint32{
	1: {elementSingle},
	2: {elementPair},
	3: {elementSingle, elementPair},
	4: {elementSingle, elementPair, elementSingle},
	5: {elementSingle, elementPair, elementPair},
	6: {elementSingle, elementPair, elementPair, elementLFE},
	7: {elementSingle, elementPair, elementPair, elementPair, elementLFE},
}

// SilentFrame makes the raw_data_block of a frame without sound. It returns nil where the core is not AAC LC, or where only a program
// config element tells the channels.
func (c *AudioSpecificConfig) SilentFrame() []byte {
	if c.core != 2 || c.layout == 0 || c.layout >= len(layouts) {
		return nil
	}
	var w bitWriter
	tags := [4]uint32{}
	for _, element := range layouts[c.layout] {
		w.put(element, 3)
		w.put(tags[element], 4) // element_instance_tag
		tags[element]++
		if element == elementPair {
			w.put(0, 1) // common_window
			w.silentChannel()
		}
		w.silentChannel()
	}
	w.put(elementEnd, 3)
	return w.b
}

// SilentMP3 makes a frame without sound that goes on from one with the given header. It returns nil where the header makes no sense.
// Behind the header all is zero: main_data_begin, and part2_3_length of each granule, so nothing is decoded (ISO/IEC 11172-3 2.4.1.7).
func SilentMP3(header []byte) []byte {
	if len(header) < 4 {
		return nil
	}
	// Without a CRC (protection_bit), and without padding.
	plain := [4]byte{header[0], header[1] | 1, header[2] &^ 2, header[3]}
	h, ok := ParseMPEGAudioHeader(plain[:])
	if !ok || h.Layer != 3 {
		return nil
	}
	frame := make([]byte, h.Size)
	copy(frame, plain[:])
	return frame
}

// bitWriter appends bits, the most significant first. The last byte is filled up with zeros.
type bitWriter struct {
	b    []byte
	bits int
}

func (w *bitWriter) put(v uint32, n int) {
	for n--; n >= 0; n-- {
		if w.bits%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.bits/8] |= byte(v>>n&1) << (7 - w.bits%8)
		w.bits++
	}
}

// silentChannel writes an individual_channel_stream with no spectral data (ISO/IEC 14496-3 table 4.50): a long window with max_sfb 0.
func (w *bitWriter) silentChannel() {
	w.put(0, 8)         // global_gain
	w.put(0, 1+2+1+6+1) // ics_reserved_bit, window_sequence, window_shape, max_sfb, predictor_data_present
	w.put(0, 1+1+1)     // pulse_data_present, tns_data_present, gain_control_data_present
}
