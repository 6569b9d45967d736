#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// sendmsg takes the place of the C library's, of which libsrt is the only user here. libsrt names its peer with
// every datagram, and what stands in a message's header no seccomp filter can look into: a process that may call
// sendmsg may send to anybody. The socket that a connection is handed is connected, so that its datagrams need no
// name, and writev goes nowhere else. Errors that the network reported, such as ECONNREFUSED, come from
// writev as they would from sendmsg.
//
// Who uses libsrt outside of a sandbox may have a socket that is not connected.
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (flags == 0 && message->msg_iovlen > 0) {
		ssize_t n = writev(fd, message->msg_iov, (int)message->msg_iovlen);
		if (n >= 0 || (errno != EDESTADDRREQ && errno != ENOTCONN))
			return n;
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}
