import { expect } from 'bun:test';
import { readAnswer } from './user-session.ts';

/** What a client sends, or what befalls the server meanwhile: head lines without `Host`, and a body. */
export type Sent = {
  readonly lines: readonly string[];
  readonly hosts?: readonly string[];
  readonly body?: string | Uint8Array;
};

const uuid4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The request on the wire; the connection is closed after its answer. */
export function bytesOf({ lines, hosts = ['auth.example.com'], body = '' }: Sent): Buffer {
  const bytes = Buffer.from(body);
  const hasFraming = lines.some((line) => /^(content-length|transfer-encoding)\s*:/i.test(line));
  const length = bytes.length === 0 || hasFraming ? [] : [`Content-Length: ${bytes.length}`];
  const head = [...lines, ...hosts.map((host) => `Host: ${host}`), ...length, 'Connection: close', '', ''];
  return Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), bytes]);
}

/** The whole answer but for the instant: ids are checked for their form and left out, and so is the length. */
export function comparable(received: string): unknown {
  const { status, headers, text } = readAnswer(received);
  const named = Object.fromEntries(headers);
  const { date, 'content-length': length, 'x-request-id': id, 'x-transaction-id': transaction, ...rest } = named;
  expect(date).toEndWith(' GMT');
  expect(Number(length)).toBe(Buffer.byteLength(text));
  if (transaction === undefined) expect(id).toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  else expect([id, transaction]).toEqual([undefined, expect.stringMatching(uuid4)]);
  const timeless = text
    .replace(/"time":\d{13},/, '"time":0,')
    .replace(/<string>\d{13}<\/string>/, '<string>0</string>');
  return { status, headers: rest, text: timeless };
}
