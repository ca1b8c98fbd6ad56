import { expect } from 'bun:test';
import { SaxesParser } from 'saxes';
import type { SoapAnswer, SoapVersion } from './soap.ts';

/** Section 7 of the ECGridOS SOAP contract. A message that the contract prints is exact, one that it leaves open a pattern. */
type FaultRow = {
  readonly code: 'Client' | 'Server' | 'VersionMismatch' | 'MustUnderstand';
  /** Ends in a colon where the parameter's name follows. */
  readonly text: string;
  /** ErrorCode, ErrorString, ErrorItem; null for a fault without detail. */
  readonly info: readonly [number, string, string] | null;
  readonly message: string | RegExp;
  readonly word: string;
};

export type FaultId = keyof typeof faultRows;
export type ExpectedFault = {
  /** Name of the parameter at fault, where the row leaves it open. */
  readonly item?: string;
  /** Where the row has more than one. */
  readonly message?: string;
  /** Blocks inside `soap:Header`, which SOAP 1.2 adds to F12 and F13, and SOAP 1.1 does not. */
  readonly header12?: string;
};

const accessDenied = [2, 'Access denied', ''] as const;
const notFound = (item: string) => [3, 'Not found', item] as const;
const dataError = (item: string) => [9, 'Data error', item] as const;
const internal = [11, 'Internal error', ''] as const;
/** One sentence without any of the input. */
const sentence = /^[A-Z][A-Za-z0-9 ,'-]{5,120}\.$/;
const reasonWord = /^[a-z]{3,20}$/;
const row = (
  code: FaultRow['code'],
  text: string,
  info: FaultRow['info'],
  message: FaultRow['message'],
  word: string,
): FaultRow => ({ code, text, info, message, word });

const parameter = 'Invalid parameter: ';
const faultRows = {
  F1: row(
    'Client',
    'Invalid SessionID',
    [1, 'Session timeout', 'SessionID'],
    'The session is unknown or has ended. Log in again.',
    'Authentication',
  ),
  F2: row('Client', 'Invalid login', accessDenied, 'The user name or password is not valid.', 'Authentication'),
  F3: row('Server', 'Too many attempts', [-1, 'Unknown', ''], 'Too many attempts. Retry later.', 'SystemError'),
  F4: row(
    'Client',
    'Access denied',
    accessDenied,
    'AccessDenied: the authorization level is too low.',
    'Authorization',
  ),
  F5: row('Client', 'Object not found', notFound('UserID'), 'No such user.', 'ObjectNotFound'),
  F6: row('Client', parameter, [7, 'Invalid data type', ''], sentence, 'InvalidParameter'),
  F7: row('Client', parameter, [8, 'Invalid data length', ''], /^max=\d+$/, 'InvalidParameter'),
  F8: row('Client', parameter, dataError(''), sentence, 'InvalidParameter'),
  F9: row('Client', 'Unknown operation', notFound(''), 'The operation is not offered.', 'ObjectNotFound'),
  F10: row('Client', 'SOAPAction does not match the request', dataError('SOAPAction'), sentence, 'InvalidParameter'),
  F11: row('Client', 'Malformed request', dataError(''), reasonWord, 'InvalidParameter'),
  F12: row('VersionMismatch', 'Unsupported SOAP version', null, '', ''),
  F13: row('MustUnderstand', 'Header not understood', null, '', ''),
  F14: row('Server', 'Service unavailable', internal, 'Retry later.', 'SystemError'),
  F15: row('Server', 'Internal error', internal, 'See the server log under the request id.', 'SystemError'),
};

/** Fails the test unless the answer is this fault, byte for byte, with its status and `Retry-After`. */
export function expectFault(answer: SoapAnswer, id: FaultId, expected: ExpectedFault = {}): void {
  const version = versionOf(answer);
  const { message } = faultRows[id];
  const said = /<ErrorMessage>([^<]*)<\/ErrorMessage>/.exec(answer.text)?.[1] ?? '';
  const open = expected.message === undefined && typeof message !== 'string';
  if (open && answer.text.includes('<ErrorMessage>')) expect(said).toMatch(message);
  const text = open ? said : (expected.message ?? String(message));
  expect(answer.text).toBe(faultText(version, id, { ...expected, message: text }));
  expect(answer.status).toBe(version === '1.2' && faultRows[id].code === 'Client' ? 400 : 500);
  const retryAfter = answer.headers.get('retry-after');
  if (id === 'F3') expect(retryAfter).toMatch(/^[1-9]\d{0,4}$/);
  else if (id === 'F14') expect(retryAfter).toMatch(/^[1-5]$/);
  else expect(retryAfter).toBeNull();
}

/** The whole answer of a fault, as the worked exchanges of section 6.1 print theirs. */
export function faultText(version: SoapVersion, id: FaultId, expected: ExpectedFault): string {
  const { code, text, info, word } = faultRows[id];
  const [number, string, item] = info ?? [];
  const name = expected.item ?? item;
  const reason = text.endsWith(': ') ? text + name : text;
  const children = `<ErrorInfo><ErrorCode>${number}</ErrorCode><ErrorString>${string}</ErrorString><ErrorItem>${name}</ErrorItem><ErrorMessage>${expected.message}</ErrorMessage></ErrorInfo><ECGridOSSOAPErrorCode>${word}</ECGridOSSOAPErrorCode>`;
  const inDetail = (tag: string) => (info === null ? '' : `<${tag}>${children}</${tag}>`);
  if (version === '1.1') {
    return `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:${code}</faultcode><faultstring>${reason}</faultstring>${inDetail('detail')}</soap:Fault></soap:Body></soap:Envelope>`;
  }
  const code12 = code === 'Client' ? 'Sender' : code === 'Server' ? 'Receiver' : code;
  const header = expected.header12 === undefined ? '' : `<soap:Header>${expected.header12}</soap:Header>`;
  return `<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope">${header}<soap:Body><soap:Fault><soap:Code><soap:Value>soap:${code12}</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">${reason}</soap:Text></soap:Reason>${inDetail('soap:Detail')}</soap:Fault></soap:Body></soap:Envelope>`;
}

/** What of an answer must be equal where two refusals must not be told apart: all but `Date` and `X-Request-Id`. */
export function comparable(answer: SoapAnswer): unknown {
  const headers = Object.fromEntries(answer.headers);
  delete headers['date'];
  delete headers['x-request-id'];
  return { status: answer.status, headers, text: answer.text };
}

const typesOf = { 'text/xml; charset=utf-8': '1.1', 'application/soap+xml; charset=utf-8': '1.2' } as const;

function versionOf(answer: SoapAnswer): SoapVersion {
  const type = answer.headers.get('content-type') ?? '';
  expect(Object.keys(typesOf)).toContain(type);
  return typesOf[type as keyof typeof typesOf];
}

/** Holds any answer to a POST of SOAP to sections 3 and 7: an envelope, or one line of text. */
export function judgeSoap(answer: SoapAnswer): void {
  judgeHeaders(answer);
  if (answer.headers.get('content-type') === 'text/plain; charset=utf-8') judgePlain(answer);
  else judgeEnvelope(answer, versionOf(answer));
}

function judgeHeaders({ headers }: SoapAnswer): void {
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('x-request-id') ?? '').toMatch(/^[A-Za-z0-9._-]{1,64}$/);
  for (const name of ['set-cookie', 'server', 'x-powered-by', 'strict-transport-security']) {
    expect(headers.get(name)).toBeNull();
  }
}

function judgePlain({ status, headers, text }: SoapAnswer): void {
  expect([404, 405, 413, 415, 429, 503]).toContain(status);
  expect(text).toMatch(/^[^\r\n<>]+\n?$/);
  if (status === 429 || status === 503) expect(headers.get('retry-after')).toMatch(/^[1-9]\d{0,4}$/);
}

const envelopeStarts: Readonly<Record<SoapVersion, string>> = {
  '1.1':
    '<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">',
  '1.2': '<?xml version="1.0" encoding="utf-8"?>\n<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope">',
};
const envelopeEnd = '</soap:Body></soap:Envelope>';

function judgeEnvelope({ status, text }: SoapAnswer, version: SoapVersion): void {
  expect(text).toStartWith(envelopeStarts[version]);
  expect(text).toEndWith(envelopeEnd);
  const inside = text.slice(envelopeStarts[version].length, -envelopeEnd.length);
  // One line, and nothing but text between tags that belong together.
  expect(inside).not.toMatch(/[\r\n]|>\s+</);
  const [, header = '', body = ''] = /^(<soap:Header>.*<\/soap:Header>)?<soap:Body>(.*)$/.exec(inside) ?? [];
  new SaxesParser({ xmlns: true }).write(text).close();
  if (status === 200) judgeResponse(header, body);
  else judgeFault(status, version, header, body);
}

/** The response element declares the one default namespace; result tags are bare. */
function judgeResponse(header: string, body: string): void {
  expect(header).toBe('');
  expect(body).toMatch(
    /^<([A-Za-z]+)Response xmlns="http:\/\/www\.ecgridos\.net\/"><\1Result(>.*<\/\1Result>|\/>)<\/\1Response>$/,
  );
  expect(body.match(/<[^>]*[:=][^>]*>/g)).toHaveLength(1);
}

const errorInfo =
  '<ErrorInfo><ErrorCode>[^<]*</ErrorCode><ErrorString>[^<]*</ErrorString><ErrorItem>[^<]*</ErrorItem><ErrorMessage>[^<]*</ErrorMessage></ErrorInfo><ECGridOSSOAPErrorCode>[A-Za-z]+</ECGridOSSOAPErrorCode>';
const faultShapes: Readonly<Record<SoapVersion, RegExp>> = {
  '1.1': new RegExp(
    `^<soap:Fault><faultcode>soap:([A-Za-z]+)</faultcode><faultstring>([^<]+)</faultstring>(<detail>${errorInfo}</detail>)?</soap:Fault>$`,
  ),
  '1.2': new RegExp(
    `^<soap:Fault><soap:Code><soap:Value>soap:([A-Za-z]+)</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang="en">([^<]+)</soap:Text></soap:Reason>(<soap:Detail>${errorInfo}</soap:Detail>)?</soap:Fault>$`,
  ),
};

function judgeFault(status: number, version: SoapVersion, header: string, body: string): void {
  expect(body).toMatch(faultShapes[version]);
  const [, code = '', text = '', detail = ''] = faultShapes[version].exec(body) ?? [];
  expect(status).toBe(code === 'Sender' ? 400 : 500);
  expect(detail === '').toBe(['VersionMismatch', 'MustUnderstand'].includes(code));
  if (version === '1.1' || detail !== '') expect(header).toBe('');
  // Documented clients log in again when they find these letters, in any case: any other fault with them would loop.
  if (text !== 'Invalid SessionID') expect(body).not.toMatch(/sessionid/i);
}
