import type { Kind } from './four-doors.ts';
import { envelope, operationXml } from './soap.ts';
import { faultText } from './soap-answer.ts';

export type FaultName =
  | 'unknown path'
  | 'wrong method'
  | 'repeated Host'
  | 'unsound Host'
  | 'repeated credential'
  | 'body of 1 MB'
  | 'wrong media type'
  | 'body that is no document'
  | 'store out of reach'
  | 'mistake of ours'
  | 'stopping';

type Request = { readonly lines: readonly string[]; readonly body?: string };
type Whole = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly text: string };

/** One way to speak to the server: how its requests look, and its answer to every fault, from its dossier. */
export type Face = {
  readonly name: string;
  /** Of what is presented in `check`. */
  readonly kind: Kind;
  /** Takes POST, but not PATCH. */
  readonly path: string;
  readonly unknownPath: string;
  readonly post: (body: string) => Request;
  readonly wrongType: Request;
  readonly credentialLines: (credential: string) => readonly string[];
  /** A good request that asks the store about the credential. */
  readonly check: (credential: string) => Request;
  readonly repeated: (credential: string) => Request;
  readonly answers: Readonly<Record<FaultName, Whole>>;
};

const fixed = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};
const json = { ...fixed, 'content-type': 'application/json; charset=utf-8' };
const retry = { 'retry-after': '2' };

function answersOf<Word extends string>(
  words: Readonly<Record<FaultName, Word>>,
  write: (word: Word, name: FaultName) => Whole,
): Record<FaultName, Whole> {
  const names = Object.keys(words) as FaultName[];
  const answers = names.map((name): [FaultName, Whole] => {
    const { status, headers, text } = write(words[name], name);
    // The rest of the body may still be on its way, or the server is about to go.
    const closes = name === 'body of 1 MB' || name === 'stopping';
    return [name, { status, headers: { ...headers, ...(closes && { connection: 'close' }) }, text }];
  });
  return Object.fromEntries(answers) as Record<FaultName, Whole>;
}

// --- ECGrid REST, section 7 ------------------------------------------------------------------------------------------

const restWords = {
  'unknown path': '404 ObjectNotFound Resource not found.',
  'wrong method': '405 InvalidParameter Method not allowed.',
  'repeated Host': '400 InvalidParameter Host must be sent once, as a host name.',
  'unsound Host': '400 InvalidParameter Host must be sent once, as a host name.',
  'repeated credential': '400 InvalidParameter authorization must not be sent more than once.',
  'body of 1 MB': '413 InvalidParameter The request body is too large.',
  'wrong media type': '415 InvalidParameter The body must be application/json in UTF-8 without content coding.',
  'body that is no document': '400 InvalidParameter The request body is not valid JSON.',
  'store out of reach': '503 ServiceUnavailable Service unavailable. Retry later.',
  'mistake of ours': '500 InternalError Internal error.',
  stopping: '503 ServiceUnavailable Service unavailable. Retry later.',
};

const restFace: Face = {
  name: 'ECGrid REST',
  kind: 'REST token',
  path: '/v2/auth/login',
  unknownPath: '/v2/nothing',
  post: (body) => ({ lines: ['POST /v2/auth/login HTTP/1.1', 'Content-Type: application/json'], body }),
  wrongType: { lines: ['POST /v2/auth/login HTTP/1.1', 'Content-Type: text/plain'], body: '{}' },
  credentialLines: (token) => [`Authorization: Bearer ${token}`],
  check: (token) => ({ lines: ['POST /v2/auth/session HTTP/1.1', `Authorization: Bearer ${token}`] }),
  repeated: (token) => ({
    lines: ['POST /v2/auth/session HTTP/1.1', `Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`],
  }),
  answers: answersOf(restWords, (word, name) => {
    const [, status = '', errorCode, message] = /^(\d+) (\w+) (.*)$/.exec(word) ?? [];
    const extra = {
      ...(status === '503' && retry),
      ...(name === 'wrong method' && { allow: 'POST' }),
    };
    const text = JSON.stringify({ success: false, data: null, errorCode, message });
    return { status: Number(status), headers: { ...json, ...extra }, text };
  }),
};

// --- UserSession, section 7 ------------------------------------------------------------------------------------------

const webWords = {
  'unknown path': '404 Not Found: There is nothing at this address.',
  'wrong method': '405 Method Not Allowed: Use one of the methods in the Allow header.',
  'repeated Host': '400 Bad Request: The request is not valid.',
  'unsound Host': '400 Bad Request: The request is not valid.',
  'repeated credential': '400 Bad Request: The request is not valid.',
  'body of 1 MB': '413 Content Too Large: The request body is too large.',
  'wrong media type': '415 Unsupported Media Type: Send the body as application/json in UTF-8.',
  'body that is no document': '400 Bad Request: The request body must be a JSON object.',
  'store out of reach': '503 Service Unavailable: Try again later.',
  'mistake of ours': '500 Internal Server Error: Something went wrong on our side.',
  stopping: '503 Service Unavailable: Try again later.',
};

const webFace: Face = {
  name: 'UserSession',
  kind: 'web token',
  path: '/auth/login',
  unknownPath: '/auth/nothing',
  post: (body) => ({ lines: ['POST /auth/login HTTP/1.1', 'Content-Type: application/json'], body }),
  wrongType: { lines: ['POST /auth/login HTTP/1.1', 'Content-Type: text/plain'], body: '{}' },
  credentialLines: (token) => [`Authorization: Bearer ${token}`],
  check: (token) => ({ lines: ['GET /auth/session HTTP/1.1', `Authorization: Bearer ${token}`] }),
  repeated: (token) => ({
    lines: ['GET /auth/session HTTP/1.1', `Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`],
  }),
  answers: answersOf(webWords, (word, name) => {
    const [, status = '', error, message] = /^(\d+) ([^:]+): (.*)$/.exec(word) ?? [];
    const extra = {
      vary: 'Origin',
      ...(status === '503' && retry),
      ...(name === 'wrong method' && { allow: 'POST, OPTIONS' }),
    };
    const text = JSON.stringify({ error, status: Number(status), message });
    return { status: Number(status), headers: { ...json, ...extra }, text };
  }),
};

// --- ECGridOS SOAP, section 7: what is not SOAP is one line of text ------------------------------------------------------

const soapWords = {
  'unknown path': '404 There is nothing at this address.',
  'wrong method': '405 Use one of the methods in the Allow header.',
  'repeated Host': '400 The Host header is not valid.',
  'unsound Host': '400 The Host header is not valid.',
  // The credential of this contract is a parameter, and no fault but F1 may name it.
  'repeated credential': 'F1',
  'body of 1 MB': '413 The request body is too large.',
  'wrong media type':
    '415 Send SOAP as text/xml or application/soap+xml, forms as application/x-www-form-urlencoded, in UTF-8.',
  'body that is no document': 'F11',
  'store out of reach': 'F14',
  'mistake of ours': 'F15',
  stopping: '503 Retry later.',
};
const soapFaults = {
  F1: { message: 'The session is unknown or has ended. Log in again.' },
  F11: { message: 'syntax' },
  F14: { message: 'Retry later.' },
  F15: { message: 'See the server log under the request id.' },
};
const asmx = '/v4.1/prod/ECGridOS.asmx';
const soapLines = [`POST ${asmx} HTTP/1.1`, 'Content-Type: text/xml; charset=utf-8'];

function soapFault(word: keyof typeof soapFaults): Whole {
  return {
    status: 500,
    headers: { ...fixed, 'content-type': 'text/xml; charset=utf-8', ...(word === 'F14' && retry) },
    text: faultText('1.1', word, soapFaults[word]),
  };
}

const soapFace: Face = {
  name: 'ECGridOS SOAP',
  kind: 'SessionID',
  path: asmx,
  unknownPath: '/v4.1/nothing',
  post: (body) => ({ lines: soapLines, body }),
  wrongType: { lines: [`POST ${asmx} HTTP/1.1`, 'Content-Type: application/json'], body: '{}' },
  credentialLines: () => [],
  check: (sessionId) => ({ lines: soapLines, body: envelope(operationXml('SessionInfo', { SessionID: sessionId })) }),
  repeated: (sessionId) => ({
    lines: soapLines,
    body: envelope(
      operationXml('SessionInfo', { SessionID: sessionId }).replace(/<SessionID>.*<\/SessionID>/, (one) => one + one),
    ),
  }),
  answers: answersOf(soapWords, (word, name) => {
    if (/^F\d/.test(word)) return soapFault(word as keyof typeof soapFaults);
    const status = Number(word.slice(0, 3));
    const extra = {
      'content-type': 'text/plain; charset=utf-8',
      ...(status === 503 && retry),
      ...(name === 'wrong method' && { allow: 'GET, HEAD, POST' }),
    };
    return { status, headers: { ...fixed, ...extra }, text: `${word.slice(4)}\n` };
  }),
};

// --- The appliance, sections 4.3 and 7 ---------------------------------------------------------------------------------

const applianceWords = {
  'unknown path': '404 BAD_REQUEST Unknown path',
  'wrong method': '405 BAD_REQUEST Method not allowed',
  'repeated Host': '400 BAD_REQUEST Bad request',
  'unsound Host': '400 BAD_REQUEST Bad request',
  'repeated credential': '400 BAD_REQUEST Bad request',
  'body of 1 MB': '413 BAD_REQUEST Request body too large',
  'wrong media type': '415 BAD_REQUEST Unsupported media type',
  'body that is no document': '400 BAD_REQUEST Request body must be a JSON object',
  'store out of reach': '503 INTERNAL_SERVER_ERROR Service Unavailable',
  'mistake of ours': '500 INTERNAL_SERVER_ERROR Internal Server Error',
  stopping: '503 INTERNAL_SERVER_ERROR Service Unavailable',
};
const adminPath = '/api/admin/v1/sessions';
const hybridityPath = '/hybridity/api/sessions';
const loginBody = '{"username":"jsmith@example.com","password":"Sup3r$ecret!"}';

function applianceMembers(word: string) {
  const [, status = '', errorCode = '', error = ''] = /^(\d+) (\w+) (.*)$/.exec(word) ?? [];
  return { status: Number(status), errorCode, error };
}

const applianceFace: Face = {
  name: 'the appliance',
  kind: 'appliance token',
  path: adminPath,
  unknownPath: '/api/admin/v1/session',
  post: (body) => ({ lines: [`POST ${adminPath} HTTP/1.1`, 'Content-Type: application/json'], body }),
  wrongType: { lines: [`POST ${adminPath} HTTP/1.1`, 'Content-Type: text/plain'], body: 'username=a' },
  credentialLines: (token) => [`x-hm-authorization: ${token}`],
  check: (token) => ({ lines: [`GET ${adminPath} HTTP/1.1`, `x-hm-authorization: ${token}`] }),
  repeated: (token) => ({
    lines: [`GET ${adminPath} HTTP/1.1`, `x-hm-authorization: ${token}`, `x-hm-authorization: ${token}`],
  }),
  answers: answersOf(applianceWords, (word, name) => {
    const { status, errorCode, error } = applianceMembers(word);
    const extra = {
      'content-type': 'application/json;charset=UTF-8',
      ...(status === 503 && retry),
      ...(name === 'wrong method' && { allow: 'GET, HEAD, POST, DELETE, OPTIONS' }),
    };
    const text = JSON.stringify({ success: false, completed: false, time: 0, version: '1.0', errorCode, error });
    return { status, headers: { ...fixed, ...extra }, text };
  }),
};

const webPortFace: Face = {
  name: "the appliance's web port, without Accept",
  kind: 'web port token',
  path: hybridityPath,
  unknownPath: '/hybridity/nothing',
  post: (body) => ({ lines: [`POST ${hybridityPath} HTTP/1.1`, 'Content-Type: application/json'], body }),
  wrongType: { lines: [`POST ${hybridityPath} HTTP/1.1`, 'Content-Type: text/plain'], body: 'username=a' },
  credentialLines: (token) => [`x-hm-authorization: ${token}`],
  check: () => ({ lines: [`POST ${hybridityPath} HTTP/1.1`], body: loginBody }),
  repeated: (token) => ({
    lines: [`POST ${hybridityPath} HTTP/1.1`, `x-hm-authorization: ${token}`, `x-hm-authorization: ${token}`],
    body: loginBody,
  }),
  answers: answersOf(applianceWords, (word, name) => {
    const { status, errorCode, error } = applianceMembers(word);
    const extra = {
      'content-type': 'application/xml;charset=UTF-8',
      vary: 'Accept',
      ...(status === 503 && retry),
      ...(name === 'wrong method' && { allow: 'POST, OPTIONS' }),
    };
    const members = { success: false, completed: false, time: 0, version: '1.0', errorCode, message: error };
    const entries = Object.entries(members).map(
      ([key, value]) => `<entry><string>${key}</string><string>${value}</string></entry>`,
    );
    const text = `<?xml version="1.0" encoding="UTF-8"?><map>${entries.join('')}</map>`;
    return { status, headers: { ...fixed, ...extra }, text };
  }),
};

export const faces: readonly Face[] = [restFace, webFace, soapFace, applianceFace, webPortFace];
