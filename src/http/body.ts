import type { Soon } from '../soon.ts';
import { HttpFault } from './faults.ts';

const firstBufferBytes = 1_024;
const nothing: Uint8Array = new Uint8Array(0);

const jsonTypePattern = /^application\/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i;

/**
 * The whole body, of length 0 when there is none. Never keeps more than `limitBytes`.
 *
 * @throws HttpFault `body_too_large`; `too_slow` when the client has left
 */
export function readBody(request: Request, limitBytes: number): Soon<Uint8Array> {
  const declared = refuseDeclared(request, limitBytes);
  if (declared === 0) return nothing;
  // The runtime holds a client to its declared length, so nothing needs counting. Touching `request.body` would
  // build a stream, which costs more than all the rest of this function.
  if (declared !== undefined) return request.bytes().catch(toFault);
  return collectStream(request, limitBytes);
}

/** Reads the body of an operation that ignores it: same limits as `readBody`, and nothing is kept. */
export function drainBody(request: Request, limitBytes: number): Soon<void> {
  if (refuseDeclared(request, limitBytes) === 0) return;
  let total = 0;
  return readStream(request, (chunk) => {
    total += chunk.length;
    if (total > limitBytes) throw new HttpFault('body_too_large');
  });
}

/**
 * Lets only `application/json` pass, with no parameter or `charset=utf-8`, not encoded. A header sent twice arrives
 * joined by a comma and fails like any other text.
 *
 * @throws HttpFault `unsupported_media_type`
 */
export function requireJsonType(request: Request): void {
  const type = request.headers.get('content-type');
  if (type === null || !jsonTypePattern.test(type)) throw new HttpFault('unsupported_media_type');
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') throw new HttpFault('unsupported_media_type');
}

/**
 * A credential header, null when there is none. The runtime joins repeats with a comma, which no credential of ours
 * contains, and picking either half would let a proxy in front of us see another caller than we do (attacks K10).
 *
 * @throws HttpFault `repeated_header` naming the header, when it came twice
 */
export function readSingle(request: Request, header: string): string | null {
  const text = request.headers.get(header);
  if (text?.includes(',')) throw new HttpFault('repeated_header', { header });
  return text;
}

/** The declared length, undefined for a chunked body; refused at once when it is over the limit. */
function refuseDeclared(request: Request, limitBytes: number): number | undefined {
  const header = request.headers.get('content-length');
  if (header === null) return request.headers.has('transfer-encoding') ? undefined : 0;
  const declared = Number(header);
  // The runtime lets two equal lengths pass as `5, 5`: such a body is counted while it arrives.
  if (!Number.isSafeInteger(declared)) return undefined;
  if (declared > limitBytes) throw new HttpFault('body_too_large');
  return declared;
}

/**
 * Collects a chunked body. It grows one buffer instead of keeping the chunks, since 16,384 chunks of one byte would
 * cost a hundred times the limit.
 */
async function collectStream(request: Request, limitBytes: number): Promise<Uint8Array> {
  let buffer: Uint8Array = new Uint8Array(Math.min(firstBufferBytes, limitBytes));
  let length = 0;
  await readStream(request, (chunk) => {
    if (length + chunk.length > limitBytes) throw new HttpFault('body_too_large');
    buffer = makeRoom(buffer, length + chunk.length, limitBytes);
    buffer.set(chunk, length);
    length += chunk.length;
  });
  return buffer.subarray(0, length);
}

/** The buffer itself when `needed` bytes fit, otherwise a copy at least twice as large, up to the limit. */
function makeRoom(buffer: Uint8Array, needed: number, limitBytes: number): Uint8Array {
  if (needed <= buffer.length) return buffer;
  const larger = new Uint8Array(Math.min(limitBytes, Math.max(needed, buffer.length * 2)));
  larger.set(buffer);
  return larger;
}

/** Hands each chunk to `take` until the body ends; what `take` throws ends the reading. */
async function readStream(request: Request, take: (chunk: Uint8Array) => void): Promise<void> {
  // Bun gives GET and HEAD no body, whatever was sent.
  const reader = request.body?.getReader();
  if (reader === undefined) return;
  try {
    await takeAll(reader, take).catch(toFault);
  } catch (error) {
    // Not awaited: the rest of a slow body may never come, and the connection is closed after the answer.
    reader.cancel().catch(() => {});
    throw error;
  }
}

async function takeAll(
  reader: { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> },
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (value !== undefined) take(value);
  }
}

/**
 * A client that left counts as too slow: nobody will read the answer. How long the rest of a body may take is for the server's own
 * deadline to say, which answers and closes the connection.
 */
function toFault(error: unknown): never {
  throw error instanceof Error && error.name === 'AbortError' ? new HttpFault('too_slow') : error;
}
