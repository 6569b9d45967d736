import './style.css'
import { start, type Engine } from './engine'
import { presence } from './source'

/** waiting: not live. connecting: found, loading. stalled: was playing, nothing comes. paused: by the viewer, or the browser wants a click first. */
type State = 'waiting' | 'connecting' | 'playing' | 'paused' | 'stalled' | 'unreachable' | 'error'

const $ = <T extends Element>(selector: string) => document.querySelector<T>(selector)!
const video = $<HTMLVideoElement>('#video')
const name = decodeURIComponent(location.pathname.replace(/^\//, '').replace(/\.html$/, ''))
// A + is a plain character of a path, and some servers in between take %2B for another name. The query may hold what lets a viewer in.
const playlist = `/hls/${encodeURIComponent(name).replaceAll('%2B', '+')}/index.m3u8${location.search}`
const pollEvery = 1500
const lookEvery = 3000

const notices: Record<State, [string, string]> = {
  waiting: ['Not live right now', 'Playback begins by itself as soon as the stream starts.'],
  connecting: ['Connecting…', ''],
  playing: ['', ''],
  paused: ['', ''],
  stalled: ['Waiting for data…', ''],
  unreachable: ['The server can’t be reached', 'Check your network. Trying again…'],
  error: ['This stream can’t be played here', ''],
}

let engine: Engine | undefined
let wanted = true // the viewer has not paused

function show(state: State, detail?: string): void {
  document.body.dataset.state = state
  const [headline, text] = notices[state]
  $('#headline').textContent = headline
  $('#detail').textContent = detail ?? text
}

/** Looks for the stream until it is there, then plays it. */
async function seek(): Promise<void> {
  stop()
  for (;;) {
    const found = await presence(playlist)
    if (found.state === 'live') break
    show(({ absent: 'waiting', unplayable: 'error', unreachable: 'unreachable' } as const)[found.state], found.why)
    await new Promise((resolve) => setTimeout(resolve, pollEvery))
  }
  show('connecting')
  try {
    engine = await start(video, playlist, { changed: fillMenus, lost })
  } catch (error) {
    show('error', error instanceof Error ? error.message : String(error))
    return
  }
  await play()
}

function stop(): void {
  engine?.destroy()
  engine = undefined
}

let reseeking = false

/** Playback can't go on: it begins anew, or waits for the stream to come back. */
function lost(reason: string): void {
  if (reseeking) return
  console.warn(`Playback begins anew: ${reason}.`)
  reseeking = true
  show('stalled')
  stop()
  setTimeout(() => {
    reseeking = false
    void seek()
  }, 500)
}

async function play(): Promise<void> {
  try {
    await video.play()
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return // watch tries again
    // Sound without a click is not allowed: the page begins muted and says how to hear it.
    video.muted = true
    await video.play().catch(() => paused())
  }
}

function paused(): void {
  wanted = false
  show('paused')
}

let position = 0
let moved = 0 // when the position last went on, in milliseconds

/** Looks whether the video plays. The browser's events don't tell of each standstill. */
function watch(): void {
  const now = performance.now()
  const goes = video.currentTime !== position
  position = video.currentTime
  if (goes || video.paused) moved = now
  if (!engine) return
  // The player gives the video another source after what could not be decoded. That stops a video, and ends an attempt to play it.
  if (video.paused && wanted) void play()
  if (video.paused) return
  if (goes && video.readyState > 2) show('playing')
  else if (document.body.dataset.state === 'playing' && now - moved > 1000) show('stalled')
  if (document.body.dataset.state === 'stalled' && now - moved > 1500) passHole()
}

/** Goes to where what is loaded goes on behind a hole of a few seconds. hls.js waits there for what it expects in the hole, and it may not come. */
function passHole(): void {
  const { buffered, currentTime } = video
  for (let i = 0; i < buffered.length; i++) {
    const begin = buffered.start(i)
    if (begin > currentTime) {
      if (begin > currentTime + 5) return
      console.warn(`Playback passes a hole from ${currentTime.toFixed(2)} s to ${begin.toFixed(2)} s.`)
      video.currentTime = begin + 0.05
      return
    }
    if (buffered.end(i) > currentTime + 0.5) return // it has what it needs
  }
}

const reloadAfter = 3000
let reloaded = false // since it last played

/** hls.js may load nothing more of one track, for good or for as long as a request hangs. Before all begins anew, loading does, at the live edge. */
function reload(): void {
  const state = document.body.dataset.state
  if (state === 'playing') reloaded = false
  if (state !== 'stalled' || reloaded || performance.now() - moved < reloadAfter || !engine?.reload()) return
  reloaded = true
  console.warn('Loading begins anew: it stands still, and the stream goes on.')
}

// Keys of the keyboard and controls of the browser pause and play too. A new source fires no pause.
video.addEventListener('pause', () => {
  if (!video.ended) paused()
})
video.addEventListener('play', () => (wanted = true))
video.addEventListener('ended', () => void seek())

function option(o: { id: number; label: string; selected: boolean }): HTMLOptionElement {
  return new Option(o.label, String(o.id), o.selected, o.selected)
}

function fillMenus(): void {
  for (const [id, list] of [
    ['audio', engine?.audios() ?? []],
    ['quality', engine?.qualities() ?? []],
  ] as const) {
    $<HTMLSelectElement>(`#${id}`).replaceChildren(...list.map(option))
    $<HTMLElement>(`#${id}-label`).hidden = list.length < 2
  }
}

function toggle(): void {
  if (!video.paused) return video.pause()
  wanted = true
  engine?.seekLive()
  void play()
}

function soundChanged(): void {
  document.body.classList.toggle('muted', video.muted)
  $<HTMLElement>('#unmute').hidden = !video.muted
  $<HTMLInputElement>('#volume').value = String(video.muted ? 0 : video.volume)
}

function toggleSound(): void {
  video.muted = !video.muted
  if (!video.muted && video.volume === 0) video.volume = 1
}

async function toggleFull(): Promise<void> {
  if (document.fullscreenElement) return document.exitFullscreen()
  const phone = video as HTMLVideoElement & { webkitEnterFullscreen?: () => void }
  if (document.fullscreenEnabled) return $('#stage').requestFullscreen()
  phone.webkitEnterFullscreen?.()
}

function togglePanel(): void {
  const panel = $<HTMLElement>('#panel')
  panel.hidden = !panel.hidden
  $('#info').setAttribute('aria-expanded', String(!panel.hidden))
  tell()
}

/** The figures of the panel, and the mark of the live button. */
function tell(): void {
  const latency = engine?.latency()
  document.body.classList.toggle('behind', latency !== undefined && latency > 12)
  if ($<HTMLElement>('#panel').hidden) return
  const bitrate = engine?.bitrate()
  const dropped = engine?.dropped()
  const ahead = video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) - video.currentTime : undefined
  const selected = (list: { label: string; selected: boolean }[] | undefined) => list?.find((o) => o.selected)?.label
  const facts: [string, string | undefined][] = [
    ['Latency', latency?.toFixed(1).concat(' s')],
    ['Resolution', video.videoWidth > 0 ? `${video.videoWidth}×${video.videoHeight}` : undefined],
    ['Bit rate', bitrate ? `${(bitrate / 1e6).toFixed(2)} Mbit/s` : undefined],
    ['Rendition', selected(engine?.qualities())],
    ['Audio', selected(engine?.audios())],
    ['Buffer', ahead?.toFixed(1).concat(' s')],
    ['Dropped frames', dropped === undefined ? undefined : String(dropped)],
  ]
  const list = $('#facts')
  list.replaceChildren()
  for (const [key, value] of facts) {
    if (value === undefined) continue
    const term = document.createElement('dt')
    const data = document.createElement('dd')
    term.textContent = key
    data.textContent = value
    list.append(term, data)
  }
}

const patience = 12_000
let patient = patience // milliseconds of a standstill in which the stream goes on; more after each new start that did not help
let version: string | undefined
let news = 0 // looks since the standstill began that have found the playlist changed

/** A player that stands still may do so for good, because the stream has ended or because it can't cope with what came: the page looks for itself. */
async function look(): Promise<void> {
  const stuck = engine
  const waits = () => stuck && engine === stuck && ['stalled', 'connecting'].includes(document.body.dataset.state ?? '')
  if (!waits()) {
    version = undefined
    news = 0
    if (document.body.dataset.state === 'playing') patient = patience
    return
  }
  const found = await presence(playlist)
  if (!waits()) return
  news += found.version && version && found.version !== version ? 1 : 0
  version = found.version
  if (news * lookEvery >= patient) {
    news = 0
    patient *= 2
    lost('it stands still, and the stream goes on')
  } else if (['absent', 'unplayable'].includes(found.state)) {
    lost('the stream is gone')
  }
}

let idle: ReturnType<typeof setTimeout> | undefined
function awake(): void {
  document.body.classList.remove('idle')
  clearTimeout(idle)
  idle = setTimeout(() => document.body.classList.add('idle'), 3000)
}

const keys: Record<string, () => void> = {
  ' ': toggle,
  k: toggle,
  m: toggleSound,
  f: () => void toggleFull(),
  i: togglePanel,
  l: () => engine?.seekLive(),
}
document.addEventListener('keydown', (event) => {
  awake()
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return
  if (event.key === ' ' && event.target instanceof HTMLButtonElement) return
  const action = keys[event.key.toLowerCase()]
  if (!action) return
  event.preventDefault()
  action()
})
for (const event of ['pointermove', 'pointerdown', 'focusin']) document.addEventListener(event, awake)

$('#play').addEventListener('click', toggle)
video.addEventListener('click', toggle)
$('#mute').addEventListener('click', toggleSound)
$('#unmute').addEventListener('click', toggleSound)
$('#volume').addEventListener('input', (event) => {
  video.volume = Number((event.target as HTMLInputElement).value)
  video.muted = video.volume === 0
})
video.addEventListener('volumechange', soundChanged)
$('#live').addEventListener('click', () => engine?.seekLive())
$('#info').addEventListener('click', togglePanel)
$('#full').addEventListener('click', () => void toggleFull())
$('#audio').addEventListener('change', (event) => engine?.selectAudio(Number((event.target as HTMLSelectElement).value)))
$('#quality').addEventListener('change', (event) => engine?.selectQuality(Number((event.target as HTMLSelectElement).value)))
if (document.pictureInPictureEnabled) {
  $<HTMLElement>('#pip').hidden = false
  $('#pip').addEventListener('click', () => void (document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture()))
}

document.title = `${name} – Brume`
$('#name').textContent = name
soundChanged()
awake()
setInterval(tell, 1000)
setInterval(watch, 250)
setInterval(reload, 500)
setInterval(() => void look(), lookEvery)
show('connecting')
void seek()
