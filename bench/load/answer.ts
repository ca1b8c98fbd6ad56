/** One HTTP answer as it came over a kept-alive connection. */
export type Answer = { readonly status: number; readonly body: string; readonly length: number };

/**
 * Reads the first answer of what a connection has received so far (bytes as Latin-1), by its length or its chunks.
 * @returns null while it is incomplete
 */
export function readAnswer(received: string): Answer | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const head = received.slice(0, headEnd);
  const status = Number(head.slice(9, 12));
  const start = headEnd + 4;
  if (status === 204 || status === 304) return { status, body: '', length: start };
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return readChunks(received, start, status);
  const length = start + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  return received.length < length ? null : { status, body: received.slice(start, length), length };
}

function readChunks(received: string, start: number, status: number): Answer | null {
  let body = '';
  for (let at = start; ; ) {
    const lineEnd = received.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(received.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size;
    if (received.length < end + 2) return null;
    if (size === 0) return { status, body, length: end + 2 };
    body += received.slice(lineEnd + 2, end);
    at = end + 2;
  }
}
