package httpd

import "brume/outputs/hls"

// carries is how much the limit of open files carries.
type carries struct {
	connections int // TCP connections
	cacheFiles  int // segments that a stream keeps
}

// carriedBy gives a third of the descriptors to connections. As many again may be needed by the segments that they are sent,
// and the rest is for the segments that streams keep. 0 is for no limit.
func carriedBy(files uint64) carries {
	if files == 0 || files > 1<<30 {
		files = 1 << 30
	}
	return carries{
		connections: int(min(MaxConnections, files/3)),
		cacheFiles:  int(min(hls.DefaultCacheFiles, max(files/48, 16))),
	}
}
