import { lastBody, sendRaw } from '../../src/http/raw-client.ts';

export type DotnetAnswer = {
  readonly status: number;
  /** Header lines by lower-case name. */
  readonly headers: Headers;
  readonly text: string;
};

/** Fields of a C# record: the kinds that the samples' records use, none of them nullable. */
export type RecordShape = Readonly<Record<string, 'int' | 'string' | 'DateTime'>>;

/**
 * What `HttpClient` of .NET writes. `PostAsync` without content: no type and `Content-Length: 0`. `PostAsJsonAsync`: a type with
 * charset, and chunks, because the length of the JSON is not known before it is written.
 */
export async function dotnetPost(
  url: string,
  headers: Readonly<Record<string, string>>,
  json?: unknown,
): Promise<DotnetAnswer> {
  const { host, port, pathname } = new URL(url);
  const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}`);
  const content = json === undefined ? ['Content-Length: 0'] : chunkedHeaders;
  // The real client keeps the connection; this one tells the end of the answer by its closing.
  const head = [`POST ${pathname} HTTP/1.1`, ...lines, ...content, 'Connection: close', '', ''].join('\r\n');
  return readAnswer(await sendRaw(Number(port), head + (json === undefined ? '' : chunk(JSON.stringify(json)))));
}

const chunkedHeaders = ['Transfer-Encoding: chunked', 'Content-Type: application/json; charset=utf-8'];

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16).toUpperCase()}\r\n${text}\r\n0\r\n\r\n`;
}

function readAnswer(received: string): DotnetAnswer {
  const [statusLine = '', ...fields] = received.slice(0, received.indexOf('\r\n\r\n')).split('\r\n');
  const headers = new Headers();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.append(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  const text = Buffer.from(lastBody(received), 'latin1').toString('utf8');
  return { status: Number(statusLine.split(' ')[1]), headers, text };
}

/** `EnsureSuccessStatusCode`. */
export function ensureSuccess({ status }: DotnetAnswer): void {
  if (status < 200 || status > 299) throw new Error(`Response status code does not indicate success: ${status}.`);
}

/**
 * `ReadFromJsonAsync<ApiResponse<T>>` with the web defaults: names in any letter case, numbers only where a number is declared.
 * @returns `Data`, or null where it is null
 * @throws Error where .NET throws `JsonException` or `NotSupportedException`
 */
export function readApiResponse(answer: DotnetAnswer, shape: RecordShape): Record<string, unknown> | null {
  if (!/^application\/json; charset=utf-8$/.test(answer.headers.get('content-type') ?? ''))
    throw new Error('Not JSON.');
  const { success, data, errorcode, message } = members(JSON.parse(answer.text) as unknown);
  if (typeof success !== 'boolean') throw new Error('Success is a bool.');
  if (typeof errorcode !== 'string' || typeof message !== 'string')
    throw new Error('ErrorCode and Message are strings.');
  return data === null ? null : readRecord(members(data), shape);
}

function readRecord(found: Record<string, unknown>, shape: RecordShape): Record<string, unknown> {
  const fields = Object.entries(shape);
  return Object.fromEntries(fields.map(([name, kind]) => [name, readField(name, kind, found[name.toLowerCase()])]));
}

function readField(name: string, kind: RecordShape[string], value: unknown): unknown {
  if (kind === 'int' && Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31) return value;
  if (kind === 'string' && typeof value === 'string') return value;
  if (kind === 'DateTime' && typeof value === 'string' && isoInstant.test(value)) return new Date(value);
  throw new Error(`The JSON value of ${name} could not be converted to ${kind}: ${String(value)}`);
}

/** What `DateTime` accepts and keeps as UTC. */
const isoInstant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,7})?Z$/;

function members(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('Not an object.');
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member as unknown]));
}

/** `response.Headers.RetryAfter?.Delta` in seconds: whole seconds are read, a date is not. */
export function retryAfterDelta({ headers }: DotnetAnswer): number | null {
  const text = headers.get('retry-after') ?? '';
  return /^\d+$/.test(text) ? Number(text) : null;
}
