package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxyHost is the name of the server in the examples of docs/proxy.md.
const proxyHost = "tv.example.org"

// proxied starts nginx with an example of the docs as it is written, but for its addresses, beside a server that takes
// all other names, as Debian's does. Files are looked for below a directory with nothing in it but what Debian has
// there, and what the test has put there. It returns a client whose every connection goes to nginx.
func proxied(t *testing.T, s *server, example, root string) *http.Client {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/cache"), 0o755))
	plain, secure := freeTCP(t), freeTCP(t)
	example = strings.NewReplacer("listen 80;", "listen "+plain+";", "listen 443 ", "listen "+secure+" ",
		"server 127.0.0.1:8080;", "server "+s.http+";", " /etc/", " "+root+"/etc/", " /var/", " "+root+"/var/").Replace(example)
	wrapper := "daemon off; pid ROOT/pid; error_log stderr notice; events {} http { access_log off;\n" +
		"client_body_temp_path ROOT/a; proxy_temp_path ROOT/b; fastcgi_temp_path ROOT/c; uwsgi_temp_path ROOT/d; scgi_temp_path ROOT/e;\n" +
		"server { listen " + plain + " default_server; return 418; }\n" + example + "}\n"
	if os.Getuid() == 0 {
		wrapper = "user root;\n" + wrapper // the test's directory is root's
	}
	config := filepath.Join(root, "nginx.conf")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(wrapper, "ROOT", root)), 0o600))
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	p := launch(t, nginx, "-e", "stderr", "-c", config)
	t.Cleanup(func() { // nginx has children, which only its main process ends
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.done
	})
	// Every connection goes to nginx, to the port of TLS where the URL asks for TLS.
	dial := func(ctx context.Context, _, address string) (net.Conn, error) {
		to := plain
		if strings.HasSuffix(address, ":443") {
			to = secure
		}
		return new(net.Dialer).DialContext(ctx, "tcp", to)
	}
	transport := &http.Transport{DialContext: dial, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	s.eventually(20*time.Second, "nginx answers", func() bool {
		select {
		case <-p.done:
			t.Fatalf("nginx has ended: %v\n%s", p.err, p.out.all())
		default:
		}
		r, err := client.Get("http://of-nobody.example/")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusTeapot
	})
	return client
}

// freeTCP is an address of loopback with a free port.
func freeTCP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// proxyExamples are those of the docs.
func proxyExamples(t *testing.T) (plain, secure, tokens string) {
	t.Helper()
	blocks := docsBlocks(t, "nginx")
	require.Len(t, blocks, 3)
	require.NotContains(t, blocks[0], "ssl")
	require.Contains(t, blocks[1], "ssl")
	require.Contains(t, blocks[2], "$arg_token")
	return blocks[0], blocks[1], blocks[2]
}

// ask gets a URL and returns the answer with its body.
func ask(t *testing.T, client *http.Client, url, user, password string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(body)
}

// TestProxyExample plays through the example of the docs: segments come from its cache the second time, and any number
// of reloads wait at the same time.
func TestProxyExample(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(clip(t, "slow", 60, "-c:v libx264 -preset veryfast -g 120 -pix_fmt yuv420p -b:v 400k -c:a aac"), "publish:live")
	s.waitPlayable("live")
	example, _, _ := proxyExamples(t)
	root := t.TempDir()
	client := proxied(t, s, example, root)
	base := "http://" + proxyHost
	r, page := ask(t, client, base+"/live.html", "", "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, page, "<html")

	r, playlist := ask(t, client, base+"/hls/live/v0/index.m3u8", "", "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	segment := segmentName.FindString(playlist)
	require.NotEmpty(t, segment, playlist)
	cached := func() int { return len(filesBelow(t, filepath.Join(root, "var/cache/nginx-brume"))) }
	require.Zero(t, cached(), "a playlist is not cached")
	r, body := ask(t, client, base+"/hls/live/v0/"+segment, "", "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	s.eventually(10*time.Second, "the segment is cached", func() bool { return cached() == 1 })
	_, again := ask(t, client, base+"/hls/live/v0/"+segment, "", "")
	require.Equal(t, body, again)

	const reloads = 8
	s.eventually(time.Minute, "eight reloads wait at once", func() bool {
		_, playlist := ask(t, client, base+"/hls/live/v0/index.m3u8", "", "")
		url := fmt.Sprintf("%s/hls/live/v0/index.m3u8?_HLS_msn=%d", base, runningSegment(t, playlist)+1)
		var done sync.WaitGroup
		for range reloads {
			done.Go(func() {
				if r, err := client.Get(url); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				}
			})
		}
		all := make(chan struct{})
		go func() { done.Wait(); close(all) }()
		most := 0.0
		for {
			most = max(most, s.metric("brume_http_active_requests"))
			select {
			case <-all:
				return most >= reloads
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
}

// runningSegment is the number of the segment of a media playlist that is not complete yet.
func runningSegment(t *testing.T, playlist string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^#EXT-X-MEDIA-SEQUENCE:(\d+)`).FindStringSubmatch(playlist)
	require.NotNil(t, m, playlist)
	first, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return first + strings.Count(playlist, "#EXTINF:")
}

// filesBelow are the regular files of a directory and of those in it.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	}))
	return files
}

// TestProxyExampleWithLogin plays through the second example, with a certificate of the test's own.
func TestProxyExampleWithLogin(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.publish(plainClip(t), "publish:live")
	s.waitPlayable("live")
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc/ssl/private"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "etc/nginx"), 0o755))
	at := filepath.Join(root, "etc/ssl/private", proxyHost)
	run(t, time.Minute, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN="+proxyHost, "-keyout", at+".key", "-out", at+".pem")
	login := "viewer:" + run(t, time.Minute, "openssl", "passwd", "-6", "a long password")
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/nginx/brume.htpasswd"), []byte(login), 0o600))
	_, example, _ := proxyExamples(t)
	client := proxied(t, s, example, root)

	r, _ := ask(t, client, "http://"+proxyHost+"/live.html", "", "")
	require.Equal(t, http.StatusMovedPermanently, r.StatusCode)
	require.Equal(t, "https://"+proxyHost+"/live.html", r.Header.Get("Location"))
	base := "https://" + proxyHost
	for _, password := range []string{"", "a wrong password"} {
		r, _ = ask(t, client, base+"/hls/live/index.m3u8", "viewer", password)
		require.Equal(t, http.StatusUnauthorized, r.StatusCode)
	}
	r, page := ask(t, client, base+"/live.html", "viewer", "a long password")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, 2, r.ProtoMajor)
	require.Contains(t, page, "<html")
	_, playlist := ask(t, client, base+"/hls/live/v0/index.m3u8", "viewer", "a long password")
	r, body := ask(t, client, base+"/hls/live/v0/"+segmentName.FindString(playlist), "viewer", "a long password")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.NotEmpty(t, body)
	s.eventually(10*time.Second, "the segment is cached", func() bool {
		return len(filesBelow(t, filepath.Join(root, "var/cache/nginx-brume"))) == 1
	})
}

// TestProxyExampleWithTokens goes from the player page to a segment with a token, and nowhere without one. Whoever has another token
// gets the segment from the cache.
func TestProxyExampleWithTokens(t *testing.T) {
	t.Parallel()
	s := startWith(t, "http: {keep_query: true}\n")
	s.publish(plainClip(t), "publish:live")
	s.waitPlayable("live")
	_, _, example := proxyExamples(t)
	root := t.TempDir()
	client := proxied(t, s, example, root)
	base := "http://" + proxyHost
	get := func(path, token string) string {
		t.Helper()
		for _, wrong := range []string{"", "?token=", "?token=another"} {
			r, _ := ask(t, client, base+path+wrong, "", "")
			require.Equal(t, http.StatusForbidden, r.StatusCode, path+wrong)
		}
		r, body := ask(t, client, base+path+"?"+token, "", "")
		require.Equal(t, http.StatusOK, r.StatusCode, path)
		return body
	}
	page := get("/live.html", "token=first-secret-token")
	script := regexp.MustCompile(`/assets/[^"]+\.js`).FindString(page)
	r, _ := ask(t, client, base+script, "", "")
	require.Equal(t, http.StatusOK, r.StatusCode, script)
	require.Contains(t, get("/hls/live/index.m3u8", "token=first-secret-token"), "\nv0/index.m3u8?token=first-secret-token\n")
	segment := regexp.MustCompile(`(?m)^(seg-\S+\.m4s)\?token=first-secret-token$`).FindStringSubmatch(get("/hls/live/v0/index.m3u8", "token=first-secret-token"))
	require.NotNil(t, segment)
	cached := func() int { return len(filesBelow(t, filepath.Join(root, "var/cache/nginx-brume"))) }
	first := get("/hls/live/v0/"+segment[1], "token=first-secret-token")
	s.eventually(10*time.Second, "the segment is cached", func() bool { return cached() == 1 })
	require.Equal(t, first, get("/hls/live/v0/"+segment[1], "token=second-secret-token"))
	require.Never(t, func() bool { return cached() > 1 }, time.Second, 100*time.Millisecond, "it is cached once for each token")
}
