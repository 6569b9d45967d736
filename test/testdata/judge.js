// Watches the video of a page, whichever player drives it. judged() returns what was seen so far, in seconds.
;(() => {
  const tick = 50 // ms
  const pause = 0.5 // seconds; a shorter standstill is not counted
  const seen = { started: -1, played: 0, stalls: [], freezes: [], jumps: [], pictures: 0, messages: [] }
  const now = () => performance.now() / 1000
  let video
  let position = 0
  let pictures = 0
  let moved = 0 // when the position last went on
  let drawn = 0 // when the last picture was decoded
  const still = (list, since, end) => {
    if (seen.started >= 0 && end - since > pause) list.push({ at: since, seconds: end - since })
  }
  const look = () => {
    video ??= document.querySelector('video')
    if (!video) return
    const time = now()
    const step = video.currentTime - position
    position = video.currentTime
    if (step > 0 && step < 1) {
      still(seen.stalls, moved, time)
      seen.played += step
      if (seen.started < 0) drawn = seen.started = time
      moved = time
    } else if (step !== 0) {
      seen.jumps.push({ at: time, seconds: step })
    }
    const decoded = video.getVideoPlaybackQuality().totalVideoFrames
    if (decoded > pictures) {
      still(seen.freezes, drawn, time)
      seen.pictures += decoded - pictures
      drawn = time
    }
    pictures = decoded
  }
  setInterval(look, tick)
  const asked = {} // how often, by address
  new PerformanceObserver((list) => {
    for (const { name } of list.getEntries()) asked[name] = (asked[name] ?? 0) + 1
  }).observe({ type: 'resource', buffered: true })
  window.judged = () => {
    const time = now()
    const result = structuredClone(seen)
    if (seen.started >= 0 && time - moved > pause) result.stalls.push({ at: moved, seconds: time - moved })
    if (seen.started >= 0 && time - drawn > pause) result.freezes.push({ at: drawn, seconds: time - drawn })
    const ranges = video ? [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]) : []
    return {
      ...result,
      now: time,
      position,
      buffered: ranges,
      repeats: Math.max(0, ...Object.keys(asked).map((name) => (/\/(part|seg)-[^/]*$/.test(name) ? asked[name] : 0))),
      width: video?.videoWidth ?? 0,
      sound: video?.webkitAudioDecodedByteCount ?? 0,
      ready: video?.readyState ?? 0,
      state: document.body.dataset.state ?? '',
      text: document.body.innerText.slice(0, 200),
    }
  }
  window.said = (message) => seen.messages.push(`${now().toFixed(2)} ${message}`)
  const warn = console.warn
  console.warn = (...all) => (window.said(all.join(' ')), warn(...all))
})()
