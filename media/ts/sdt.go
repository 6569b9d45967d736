package ts

import (
	"encoding/binary"
	"iter"
)

// MaxServiceText bounds the texts of a Service, in bytes of UTF-8.
const MaxServiceText = 255

// Service is what an SDT says of a service, which is a program with the same number.
type Service struct {
	Number   uint16 // service_id
	Name     string // UTF-8, at most MaxServiceText bytes, possibly empty
	Provider string // the same
}

// Services yields the services of an SDT section that have a service descriptor (ETSI EN 300 468 5.2.3 and 6.2.33).
// A length that runs over the end ends it.
func (s *Section) Services() iter.Seq[Service] {
	return func(yield func(Service) bool) {
		if s.TableID != TableSDT || len(s.Body) < 3 {
			return
		}
		for b := s.Body[3:]; len(b) >= 5; {
			n := int(binary.BigEndian.Uint16(b[3:]) & 0xFFF)
			if len(b)-5 < n {
				return
			}
			d, ok := Descriptors(b[5 : 5+n]).Find(DescriptorService)
			if v, read := readService(d); ok && read {
				v.Number = binary.BigEndian.Uint16(b)
				if !yield(v) {
					return
				}
			}
			b = b[5+n:]
		}
	}
}

// readService reads a service descriptor: service_type, then both texts behind their lengths.
func readService(d []byte) (v Service, ok bool) {
	if len(d) < 3 || len(d)-2 <= int(d[1]) {
		return v, false
	}
	provider, rest := d[2:2+int(d[1])], d[2+int(d[1]):]
	if len(rest)-1 < int(rest[0]) {
		return v, false
	}
	return Service{Name: Text(rest[1:1+int(rest[0])], MaxServiceText), Provider: Text(provider, MaxServiceText)}, true
}
