/** What can be learned of a stream without playing it. why: what the server says of one that can't be played now.
 * version: the media playlist, which becomes another with each new segment. */
export interface Presence {
  state: 'live' | 'absent' | 'unplayable' | 'unreachable'
  why?: string
  version?: string
}

/** The server holds requests for a stream that is starting: for 14 s at most. */
const patience = 20_000

async function text(url: string): Promise<{ status: number; body: string; why?: string }> {
  const response = await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(patience) })
  const body = await response.text()
  // 503: it is starting, or its source fails; 415: nothing of it can be played. A proxy has pages of its own for what it can't get.
  const says = [415, 503].includes(response.status) && response.headers.get('Content-Type')?.startsWith('text/plain')
  return { status: response.status, body, why: says ? body.trim() : (response.headers.get('Brume-Source') ?? undefined) }
}

/** The URIs of the renditions of a multivariant playlist, in a form to compare. */
export function renditions(master: string): string {
  const uris = master.split('\n').map((line) => (line.startsWith('#') ? (/^#EXT-X-MEDIA:.*URI="([^"]*)"/.exec(line)?.[1] ?? '') : line))
  return [...new Set(uris)].sort().join(' ')
}

/** The renditions that a stream has now; undefined where its multivariant playlist can't be had. */
export async function renditionsNow(playlist: string): Promise<string | undefined> {
  try {
    const master = await text(playlist)
    return master.status === 200 ? renditions(master.body) : undefined
  } catch {
    return undefined
  }
}

/** Asks whether the stream can be played now. One whose playlist has ended can't. */
export async function presence(playlist: string): Promise<Presence> {
  try {
    const master = await text(playlist)
    if (master.status !== 200) return { state: master.status === 415 ? 'unplayable' : 'absent', why: master.why }
    const uri = master.body.split('\n').find((line) => line !== '' && !line.startsWith('#'))
    if (!uri) return { state: 'absent' }
    const media = await text(new URL(uri, new URL(playlist, location.href)).href)
    return media.status === 200 && !media.body.includes('#EXT-X-ENDLIST') ? { state: 'live', version: media.body } : { state: 'absent', why: media.why }
  } catch {
    return { state: 'unreachable' }
  }
}
