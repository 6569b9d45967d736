// Package chromium starts the browser in which tests and benchmarks open pages.
package chromium

import (
	"context"
	"os"
	"time"

	"github.com/chromedp/chromedp"
)

// Start starts a headless Chromium that talks to nobody but us and plays sound without a click. Its profile is in dir, which is the caller's to
// remove after stop. The first page has the given size, in pixels.
func Start(ctx context.Context, dir string, width, height int) (page context.Context, stop func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(dir), chromedp.WindowSize(width, height),
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.WSURLReadTimeout(60*time.Second))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	page, closePage := chromedp.NewContext(ctx)
	stop = func() {
		closePage()
		cancel()
	}
	if err := chromedp.Run(page, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		stop()
		return nil, nil, err
	}
	return page, stop, nil
}
