import './style.css'

interface Track {
  kind: string
  codec: string
  width?: number
  height?: number
  frame_rate?: number
  language?: string
  role?: string
  bitrate?: number
}

interface Stream {
  name: string
  state: 'offline' | 'starting' | 'live' | 'unplayable'
  reason?: string
  waits_for?: string
  locked: boolean
  source?: { state: 'waiting' | 'connecting' | 'connected' | 'failed'; start: 'demand' | 'always'; last_error?: { detail: string } }
  uptime_seconds: number
  resume_until?: string
  tracks: Track[]
  programs: { number: number; name?: string }[]
  viewers: { total: number; srt: number; hls: number }
  links: { player?: string }
}

interface Port {
  address: string
  stream_only: boolean
  mode: 'any' | 'publish' | 'play'
  passphrase: boolean
  callers: string
}

interface Info {
  version: string
  hostname: string
  libsrt: { version: string }
  srt: Port[]
  http: { address: string }
}

const $ = <T extends HTMLElement>(selector: string) => document.querySelector<T>(selector)!
const codecNames: Record<string, string> = { h264: 'H.264', h265: 'H.265', aac: 'AAC', mp2: 'MP2', mp3: 'MP3', ac3: 'AC-3', eac3: 'E-AC-3', opus: 'Opus', scte35: 'SCTE-35', klv: 'KLV' }

let info: Info | undefined

/** The address of a port as this browser reaches it. */
function reach(address: string): string {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, at)
  const port = address.slice(at + 1)
  const any = host === '' || host === '0.0.0.0' || host === '[::]'
  return `${any ? location.hostname : host}:${port}`
}

function element(tag: string, className: string, ...content: (Node | string)[]): HTMLElement {
  const e = document.createElement(tag)
  e.className = className
  e.append(...content)
  return e
}

function duration(seconds: number): string {
  const s = Math.floor(seconds)
  const parts = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60]
  const units = ['d', 'h', 'min', 's']
  const first = parts.findIndex((p) => p > 0)
  if (first < 0) return '0 s'
  return parts.slice(first, first + 2).map((p, i) => `${p} ${units[first + i]}`).join(' ')
}

function describe(t: Track): string {
  const words = [codecNames[t.codec] ?? t.codec]
  if (t.width && t.height) words.push(`${t.width}×${t.height}`)
  if (t.frame_rate) words.push(`${Math.round(t.frame_rate * 100) / 100} fps`)
  if (t.language) words.push(t.language)
  if (t.role) words.push(`(${t.role})`)
  if (t.bitrate) words.push(t.bitrate >= 1e6 ? `${(t.bitrate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(t.bitrate / 1e3)} kbit/s`)
  return words.join(' ')
}

function waitsFor(s: Stream): string {
  if (s.waits_for !== 'program') return `waits for ${s.waits_for}`
  const there = s.programs.map((p) => (p.name ? `${p.number} “${p.name}”` : `${p.number}`))
  return `waits for its program; the transport stream has ${there.join(', ')}`
}

function describeStream(s: Stream): string[] {
  const facts = [`${s.viewers.total} ${s.viewers.total === 1 ? 'viewer' : 'viewers'}`]
  if (s.state === 'live') facts.unshift(duration(s.uptime_seconds))
  if (s.locked) facts.push('locked')
  if (s.reason) facts.push(s.reason)
  if (s.state === 'starting' && s.waits_for) facts.push(waitsFor(s))
  if (s.source?.state === 'failed') facts.push(`source failed: ${s.source.last_error?.detail ?? 'see the log'}`)
  if (s.source?.state === 'connecting') facts.push('calls its source')
  if (s.source?.state === 'waiting' && s.source.start === 'demand' && s.state === 'offline') facts.push('source on demand')
  return facts
}

function streamItem(s: Stream): HTMLElement {
  const title = element('a', 'name', s.name) as HTMLAnchorElement
  title.href = s.links.player ?? '#'
  const state = element('span', `badge ${s.state}`, s.resume_until ? 'paused' : s.state)
  const facts = element('p', 'dim', describeStream(s).join(' · '))
  const tracks = element('p', 'tracks', ...s.tracks.map((t) => element('span', 'chip', describe(t))))
  return element('li', 'card', element('div', 'row', title, state), facts, tracks)
}

/** Lines to publish and to watch a stream with, of the name in the field. */
function showLines(): void {
  if (!info) return
  const name = $<HTMLInputElement>('#stream').value.trim() || 'live'
  const valid = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$/.test(name)
  $('#bad-name').hidden = valid
  $('#lines').hidden = !valid
  if (!valid) return
  const http = reach(info.http.address)
  const publish = srtURL(info.srt, 'publish', `publish:${name}`)
  const play = srtURL(info.srt, 'play', `read:${name}`)
  showIn('#publish-lines', publish ? [
    ['ffmpeg, a file', `ffmpeg -re -i FILE -c copy -f mpegts '${publish}'`],
    ['ffmpeg, a test picture', `ffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -c:a aac -f mpegts '${publish}'`],
    ['OBS Studio: Settings, Output, Advanced, Keyframe Interval 1 s; Stream, Custom, Server', publish],
    ['srt-live-transmit, from UDP', `srt-live-transmit udp://:5000 '${publish}'`],
  ] : [])
  showIn('#watch-lines', [
    ['Browser', `http://${http}/${name}.html`],
    ['HLS player', `http://${http}/hls/${name}/index.m3u8`],
    ...(play ? [['SRT player', `ffplay '${play}'`] as [string, string]] : []),
  ])
  $('#ports').replaceChildren(...info.srt.map((p) => element('p', 'line dim', `${p.address}: ${p.callers}`)))
}

/** The URL to call with a stream id, by the first port that lets its callers do that with any stream; undefined where there is none. */
function srtURL(ports: Port[], mode: 'publish' | 'play', id: string): string | undefined {
  const port = ports.find((p) => !p.stream_only && (p.mode === 'any' || p.mode === mode))
  return port && `srt://${reach(port.address)}?streamid=${id}${port.passphrase ? '&passphrase=PASSPHRASE' : ''}`
}

function showIn(selector: string, lines: [string, string][]): void {
  $(selector).replaceChildren(...lines.map(([label, text]) => line(label, text)))
}

function line(label: string, text: string): HTMLElement {
  const copy = element('button', 'copy', 'Copy') as HTMLButtonElement
  copy.type = 'button'
  copy.setAttribute('aria-label', `Copy: ${label}`)
  copy.onclick = async () => {
    await copyText(text)
    copy.textContent = 'Copied'
    setTimeout(() => (copy.textContent = 'Copy'), 1500)
  }
  return element('div', 'line', element('div', 'row', element('span', 'dim', label), copy), element('code', '', text))
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Without TLS a browser has the clipboard on localhost only.
    const area = document.createElement('textarea')
    area.value = text
    document.body.append(area)
    area.select()
    document.execCommand('copy')
    area.remove()
  }
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path, { signal: AbortSignal.timeout(5000) })
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`)
  return (await response.json()) as T
}

async function refresh(): Promise<void> {
  const trouble = $('#trouble')
  try {
    if (!info) {
      info = await get<Info>('/api/v1/info')
      $('#server').textContent = `${info.version} on ${info.hostname}`
      showLines()
    }
    const { items } = await get<{ items: Stream[] }>('/api/v1/streams?limit=1000')
    $('#streams').replaceChildren(...items.map(streamItem))
    $('#empty').hidden = items.length > 0
    trouble.hidden = true
  } catch (error) {
    trouble.textContent = `The server does not answer (${error instanceof Error ? error.message : error}). Trying again…`
    trouble.hidden = false
  }
  setTimeout(refresh, document.hidden ? 5000 : 1000)
}

$('#stream').addEventListener('input', showLines)
void refresh()
