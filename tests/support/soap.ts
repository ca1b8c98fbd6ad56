import { expect } from 'bun:test';
import { SaxesParser } from 'saxes';
import { lastBody, sendRaw } from '../../src/http/raw-client.ts';
import { judgeSoap } from './soap-answer.ts';
import type { TestServer } from './server.ts';

export type SoapVersion = '1.1' | '1.2';
export type SoapAnswer = { readonly status: number; readonly headers: Headers; readonly text: string };

export type SoapSend = {
  /** 1.1 unless given. */
  readonly version?: SoapVersion;
  /** The whole content type, that of the version unless given; null for none. */
  readonly type?: string | null | undefined;
  /** The whole `SOAPAction` header; `call` sends the operation's unless given, null for none. */
  readonly action?: string | null | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
  readonly chunked?: boolean;
};

/** Parameters in the order in which they are sent. */
export type SoapParameters = Readonly<Record<string, string | number>>;

export const endpoint = '/v4.1/prod/ECGridOS.asmx';
export const namespace = 'http://www.ecgridos.net/';
export const versions = ['1.1', '1.2'] as const;
export const envelopeNamespaces: Readonly<Record<SoapVersion, string>> = {
  '1.1': 'http://schemas.xmlsoap.org/soap/envelope/',
  '1.2': 'http://www.w3.org/2003/05/soap-envelope',
};
const types: Readonly<Record<SoapVersion, string>> = { '1.1': 'text/xml', '1.2': 'application/soap+xml' };

/** A session id in the right form that no session has: the documents' example. */
export const unknownSessionId = 'A1B2C3D4-E5F6-7890-ABCD-EF1234567890';
/** How every SessionID and API key of this door is printed. */
export const guidPattern = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/;

/** A request as section 6.2 prints one, with `header` inside `soap:Header` if there is any. */
export function envelope(body: string, version: SoapVersion = '1.1', header = ''): string {
  const before = header === '' ? '' : `<soap:Header>${header}</soap:Header>`;
  const open = `<soap:Envelope xmlns:soap="${envelopeNamespaces[version]}">`;
  return `<?xml version="1.0" encoding="utf-8"?>\n${open}${before}<soap:Body>${body}</soap:Body></soap:Envelope>`;
}

/** An operation element with its parameters, in the contract's namespace. */
export function operationXml(operation: string, parameters: SoapParameters = {}): string {
  const children = Object.entries(parameters).map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`);
  return `<${operation} xmlns="${namespace}">${children.join('')}</${operation}>`;
}

/** Calls an operation as a generated client does, action included. */
export function call(
  server: Pick<TestServer, 'url'>,
  operation: string,
  parameters: SoapParameters = {},
  { version = '1.1', ...send }: SoapSend = {},
): Promise<SoapAnswer> {
  const action = `"${namespace}${operation}"`;
  const named: SoapSend =
    version === '1.1' ? { action } : { type: `application/soap+xml; charset=utf-8; action=${action}` };
  return post(server, envelope(operationXml(operation, parameters), version), { ...named, ...send, version });
}

/**
 * Sends a body as it is. Whatever the test asks about, the answer is also held to what every answer of the door promises:
 * layout, content type, header set, and the shape of faults (sections 3 and 7).
 */
export async function post(
  server: Pick<TestServer, 'url'>,
  body: string | Uint8Array,
  { version = '1.1', type, action = null, headers = {}, path = endpoint, chunked = false }: SoapSend = {},
): Promise<SoapAnswer> {
  const bytes = Buffer.from(body);
  const sentType = type === undefined ? `${types[version]}; charset=utf-8` : type;
  const answer = await send(
    server,
    [
      `POST ${path} HTTP/1.1`,
      ...(sentType === null ? [] : [`Content-Type: ${sentType}`]),
      ...(action === null ? [] : [`SOAPAction: ${action}`]),
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.length}`,
    ],
    chunked ? toChunks(bytes) : bytes,
  );
  judgeSoap(answer);
  return answer;
}

/** One request over a connection of its own, nothing about the answer judged. `head`: its lines but `Host`. */
export async function send(
  server: Pick<TestServer, 'url'>,
  head: readonly string[],
  body: string | Uint8Array = '',
): Promise<SoapAnswer> {
  const lines = [...head, 'Host: auth.example.com', 'Connection: close', '', ''].join('\r\n');
  const port = Number(new URL(server.url).port);
  const received = await sendRaw(port, Buffer.concat([Buffer.from(lines, 'latin1'), Buffer.from(body)]));
  const [statusLine = '', ...fields] = received.slice(0, received.indexOf('\r\n\r\n')).split('\r\n');
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const text = Buffer.from(lastBody(received), 'latin1').toString('utf8');
  return { status: Number(statusLine.split(' ')[1]), headers, text };
}

/** What stands inside `{operation}Result`; fails the test unless the answer is one. */
export function resultOf(answer: SoapAnswer, operation: string): string {
  expect(answer.text).toContain(`<${operation}Response `);
  expect(answer.status).toBe(200);
  const [start, end] = [`<${operation}Result>`, `</${operation}Result>`];
  const from = answer.text.indexOf(start);
  return from === -1 ? '' : answer.text.slice(from + start.length, answer.text.indexOf(end));
}

/** Texts of flat elements, by name: `<A>1</A><B>2</B>`. */
export function fieldsOf(xml: string): Record<string, string> {
  const fields: Record<string, string> = {};
  let text = '';
  const parser = new SaxesParser();
  parser.on('opentag', () => {
    text = '';
  });
  parser.on('text', (piece) => {
    text += piece;
  });
  parser.on('closetag', (tag) => {
    fields[tag.name] = text;
  });
  parser.write(`<all>${xml}</all>`).close();
  delete fields['all'];
  return fields;
}

/** Logs in at this door and fails the test if that does not work. @returns the SessionID */
export async function soapLogin(
  server: Pick<TestServer, 'url'>,
  who: { readonly login: string; readonly password: string },
): Promise<string> {
  const answer = await call(server, 'Login', { UserName: who.login, Password: who.password });
  const sessionId = resultOf(answer, 'Login');
  expect(sessionId).toMatch(guidPattern);
  return sessionId;
}

/** The fields of `SessionInfo` for a SessionID or key that must be good. */
export async function sessionInfo(server: Pick<TestServer, 'url'>, sessionId: string): Promise<Record<string, string>> {
  return fieldsOf(resultOf(await call(server, 'SessionInfo', { SessionID: sessionId }), 'SessionInfo'));
}

function toChunks(bytes: Buffer): Buffer {
  const size = 16_384;
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length; from += size) {
    const chunk = bytes.subarray(from, from + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
