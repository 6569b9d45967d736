package httpd

import (
	"errors"
	"io"
)

// sendChunk is how much of a file goes out before the client gets time anew. A slow client that still reads is never cut off.
const sendChunk = 4 << 20

// ReadFrom sends a file in pieces, each by sendfile: the source stays what net/http knows, a limited reader over a file.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	to, ok := a.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return 0, errors.New("the connection takes no files")
	}
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		a.begin()
		n, err := to.ReadFrom(src)
		a.sent(int(n), err)
		return n, err
	}
	var total int64
	for limited.N > 0 {
		a.begin()
		piece := &io.LimitedReader{R: limited.R, N: min(limited.N, sendChunk)}
		n, err := to.ReadFrom(piece)
		limited.N -= n
		total += n
		a.sent(int(n), err)
		if err != nil || n == 0 {
			return total, err
		}
	}
	return total, nil
}
