import type Hls from 'hls.js'
import type { LevelDetails } from 'hls.js'
import { renditions, renditionsNow } from './source'

/** What can be chosen and told of a running playback. */
export interface Engine {
  /** Seconds behind the live edge, if known. */
  latency(): number | undefined
  /** Bits per second of what plays, if known. */
  bitrate(): number | undefined
  dropped(): number | undefined
  seekLive(): void
  /** Gives up what is being loaded, and loads from the live edge on. Reports whether there was anything to skip to. */
  reload(): boolean
  audios(): { id: number; label: string; selected: boolean }[]
  selectAudio(id: number): void
  qualities(): { id: number; label: string; selected: boolean }[]
  selectQuality(id: number): void
  destroy(): void
}

export interface Callbacks {
  /** The lists of audios and qualities have changed. */
  changed(): void
  /** Playback can't go on by itself; the stream may be over. */
  lost(reason: string): void
}

/** Starts playback of a playlist, with hls.js where there are Media Source Extensions, else with the browser's own HLS. */
export async function start(video: HTMLVideoElement, url: string, callbacks: Callbacks): Promise<Engine> {
  const { default: HlsClass } = await import('hls.js')
  if (HlsClass.isSupported()) return new HlsEngine(HlsClass, video, url, callbacks)
  if (video.canPlayType('application/vnd.apple.mpegurl')) return new NativeEngine(video, url, callbacks)
  throw new Error('This browser can play neither Media Source Extensions nor HLS.')
}

class HlsEngine implements Engine {
  private hls: Hls
  private recoveries: number[] = []
  private known = '' // renditions of the multivariant playlist that hls.js has
  private destroyed = false
  private epoch = -1 // discontinuity sequence number for which `known` was compared with what the stream has
  private rareKeyframes = false
  private asked = 0 // end of the playlist when it was, in seconds of the video

  constructor(
    HlsClass: typeof Hls,
    private video: HTMLVideoElement,
    private url: string,
    private callbacks: Callbacks,
  ) {
    // A server process that is replaced is back within a second: loads are repeated soon and often before they count as failed.
    const retry = { maxNumRetry: 12, retryDelayMs: 250, maxRetryDelayMs: 3000, backoff: 'linear' as const }
    const policy = { default: { maxTimeToFirstByteMs: 10000, maxLoadTimeMs: 20000, timeoutRetry: retry, errorRetry: retry } }
    this.hls = new HlsClass({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1.1, // what loading or a stall has put playback behind is made up for
      maxBufferHole: 0.25, // holes that are not worth waiting at, as between the sound of two publishers
      manifestLoadPolicy: policy,
      playlistLoadPolicy: policy,
      fragLoadPolicy: policy,
    })
    Object.defineProperty(this.hls.config, 'backBufferLength', { get: () => this.backBuffer() })
    const { Events, ErrorTypes } = HlsClass
    for (const event of [Events.MANIFEST_PARSED, Events.AUDIO_TRACKS_UPDATED, Events.AUDIO_TRACK_SWITCHED, Events.LEVEL_SWITCHED] as const) {
      this.hls.on(event, () => callbacks.changed())
    }
    this.hls.on(Events.MANIFEST_LOADED, (_, data) => (this.known = renditions((data.networkDetails as XMLHttpRequest).responseText)))
    this.hls.on(Events.LEVEL_UPDATED, (_, { details }) => {
      this.rareKeyframes ||= details.startTimeOffset !== null
      void this.compare(details)
    })
    this.hls.on(Events.ERROR, (_, data) => {
      if (!data.fatal) return
      if (data.type === ErrorTypes.MEDIA_ERROR && this.mayRecover()) {
        console.warn(`The browser could not play what came: ${data.error.message}`)
        this.hls.recoverMediaError()
      } else callbacks.lost(data.details)
    })
    this.hls.loadSource(url)
    this.hls.attachMedia(video)
  }

  /**
   * Tracks come and go at discontinuities only, and no player loads the multivariant playlist again by itself. The server lists a new track once it lies
   * where players begin, a hold-back behind the discontinuity: the question is put again until then.
   */
  private async compare(details: LevelDetails): Promise<void> {
    const { edge, endCC, targetduration } = details
    const since = details.fragments.find((f) => f.cc === endCC)?.start ?? edge // only parts of it yet
    if (endCC === this.epoch && (edge - this.asked < targetduration || edge - since > 6 * targetduration)) return
    this.epoch = endCC
    this.asked = edge
    const now = await renditionsNow(this.url)
    if (now === undefined) this.epoch = -1 // the next version of the playlist asks again
    else if (now !== this.known && !this.destroyed) this.callbacks.lost('the stream has other renditions now')
  }

  /**
   * How many seconds of what has been played hls.js keeps. When it throws old media away while it loads a segment in parts, it forgets which of them it
   * has, takes the complete segment for incomplete, and loads nothing behind it. Where keyframes are rare, the browser throws away all pictures up to the
   * next one as well.
   */
  private backBuffer(): number {
    const loads = Object.values(this.hls.inFlightFragments).some(({ state }) => state !== 'IDLE' && state !== 'STOPPED')
    return loads || this.rareKeyframes ? Infinity : 30
  }

  /** Three recoveries in half a minute are allowed: more would be a loop. */
  private mayRecover(): boolean {
    const now = performance.now()
    this.recoveries = this.recoveries.filter((t) => now - t < 30000)
    this.recoveries.push(now)
    return this.recoveries.length <= 3
  }

  latency(): number | undefined {
    return this.hls.latency > 0 ? this.hls.latency : undefined
  }

  bitrate(): number | undefined {
    return this.hls.levels[this.hls.currentLevel]?.bitrate
  }

  dropped(): number | undefined {
    return this.video.getVideoPlaybackQuality?.().droppedVideoFrames
  }

  seekLive(): void {
    if (this.hls.liveSyncPosition) this.video.currentTime = this.hls.liveSyncPosition
  }

  reload(): boolean {
    const live = this.hls.liveSyncPosition
    if (live === null || live < this.video.currentTime + 1) return false
    this.hls.stopLoad()
    this.video.currentTime = live
    this.hls.startLoad(live)
    return true
  }

  audios() {
    return this.hls.audioTracks.map((t, id) => ({ id, label: t.name || t.lang || `Audio ${id + 1}`, selected: id === this.hls.audioTrack }))
  }

  selectAudio(id: number): void {
    this.hls.audioTrack = id
  }

  qualities() {
    const levels = this.hls.levels.map((l, id) => ({ id, label: l.height ? `${l.height}p` : `${Math.round(l.bitrate / 1000)} kbit/s`, selected: !this.hls.autoLevelEnabled && id === this.hls.currentLevel }))
    return levels.length > 1 ? [{ id: -1, label: 'Auto', selected: this.hls.autoLevelEnabled }, ...levels] : levels
  }

  selectQuality(id: number): void {
    this.hls.nextLevel = id
  }

  destroy(): void {
    this.destroyed = true
    this.hls.destroy()
  }
}

class NativeEngine implements Engine {
  private onError: () => void

  constructor(
    private video: HTMLVideoElement,
    url: string,
    callbacks: Callbacks,
  ) {
    this.onError = () => callbacks.lost(video.error?.message ?? 'the browser stopped')
    video.addEventListener('error', this.onError)
    video.src = url
  }

  private edge(): number | undefined {
    const { seekable } = this.video
    return seekable.length > 0 ? seekable.end(seekable.length - 1) : undefined
  }

  latency(): number | undefined {
    const edge = this.edge()
    return edge === undefined ? undefined : edge - this.video.currentTime
  }

  bitrate(): undefined {
    return undefined
  }

  dropped(): number | undefined {
    return this.video.getVideoPlaybackQuality?.().droppedVideoFrames
  }

  seekLive(): void {
    const edge = this.edge()
    if (edge !== undefined) this.video.currentTime = edge - 2
  }

  reload(): boolean {
    return false
  }

  audios() {
    return []
  }

  selectAudio(): void {}

  qualities() {
    return []
  }

  selectQuality(): void {}

  destroy(): void {
    this.video.removeEventListener('error', this.onError)
    this.video.removeAttribute('src')
    this.video.load()
  }
}
