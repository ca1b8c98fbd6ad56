import { type Core, CoreError, nameFailure } from '../../core/index.ts';
import { readBody } from '../../http/body.ts';
import type { Door, Exchange, Route } from '../../http/door.ts';
import { type Fault, HttpFault } from '../../http/faults.ts';
import { type Answer, prepareAnswers } from '../../http/headers.ts';
import { remember } from '../../http/remember.ts';
import { after, type Soon, settle } from '../../soon.ts';
import { mediaTypes, readEnvelope, type SoapVersion, writeEnvelope, writeFault } from './envelope.ts';
import { coreFaults, faultString, faultTable, SoapFault } from './faults.ts';
import { givenInForm, writeFormResult } from './form.ts';
import { type EcgridosSettings, type Operation, operations, requireContext } from './operations.ts';
import { styleSheet, writeOperationList, writeOperationPage } from './pages.ts';
import { readMediaType, readSoapType, type SoapType } from './media-type.ts';
import { type Given, givenInSoap, readSessionId } from './parameters.ts';
import { namespace, type Value, writeValue } from './wire.ts';
import { writeWsdl } from './wsdl.ts';
import { element } from './xml-writer.ts';

const endpoint = '/v4.1/prod/ECGridOS.asmx';
const bodyLimit = 65_536;
const xmlType = 'text/xml; charset=utf-8';
const pagePolicy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'";
const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** What fails outside an operation is a line of text, never HTML: clients take HTML for an error of something else. */
const plainAnswers = {
  bad_host: [400, 'The Host header is not valid.'],
  repeated_header: [400, 'A header was sent more than once.'],
  bad_json: [400, 'The request is not valid.'],
  not_found: [404, 'There is nothing at this address.'],
  method_not_allowed: [405, 'Use one of the methods in the Allow header.'],
  body_too_large: [413, 'The request body is too large.'],
  unsupported_media_type: [
    415,
    'Send SOAP as text/xml or application/soap+xml, forms as application/x-www-form-urlencoded, in UTF-8.',
  ],
  internal: [500, 'Internal error.'],
  too_slow: [503, 'Retry later.'],
  stopping: [503, 'Retry later.'],
} satisfies Record<Fault, readonly [number, string]>;

type Settled = { readonly core: Core; readonly settings: EcgridosSettings };

/** The ECGridOS SOAP contract: session operations over SOAP 1.1, SOAP 1.2 and forms. */
export function createEcgridosSoap(core: Core, settings: EcgridosSettings): Door {
  const settled = { core, settings };
  return {
    name: 'ecgridos-soap',
    owns: ['/v4.1/'],
    ignoresCase: true,
    routes: [
      { method: 'GET', path: endpoint, answer: (exchange) => answerPage(settings, exchange) },
      { method: 'POST', path: endpoint, holdsCaller: false, answer: (exchange) => answerSoap(settled, exchange) },
      { method: 'GET', path: endpoint.replace('.asmx', '.css'), answer: answerStyle },
      ...operations.flatMap((operation) => formRoutes(settled, operation)),
    ],
    answerFault: (fault, exchange, { allow }) =>
      plainAnswer(exchange, fault, allow === undefined ? {} : { Allow: allow }),
  };
}

function formRoutes(settled: Settled, operation: Operation): Route[] {
  const path = `${endpoint}/${operation.name}`;
  const answer = (exchange: Exchange) => answerForm(settled, operation, exchange);
  const post: Route = { method: 'POST', path, answer };
  const { httpGet } = settled.settings;
  const offered = operation.formGet === 'open' ? httpGet !== 'off' : operation.formGet === 'read' && httpGet === 'read';
  return offered ? [{ method: 'GET', path, answer }, post] : [post];
}

// --- SOAP -----------------------------------------------------------------------------------------------------------

function answerSoap(settled: Settled, exchange: Exchange): Soon<Response> {
  const type = readSoapType(exchange.request);
  // Now, before the body: whoever changes something is written down with the address, which is gone with the connection.
  if (!readingActions.has(type.action)) exchange.caller.hold();
  return after(readBody(exchange.request, bodyLimit), (bytes) => answerEnvelope(settled, exchange, type, bytes));
}

function answerEnvelope(settled: Settled, exchange: Exchange, type: SoapType, bytes: Uint8Array): Soon<Response> {
  const { version } = type;
  return settle(
    () => performEnvelope(settled, exchange, type, bytes),
    (text) => soapAnswer(exchange, version, 200, text),
    (error) => {
      const fault = toFault(settled.core, exchange, error);
      const { text, status } = writeFault(version, fault.id, fault.detail);
      return soapAnswer(exchange, version, status, text, retryAfter(fault));
    },
  );
}

function performEnvelope(settled: Settled, exchange: Exchange, type: SoapType, bytes: Uint8Array): Soon<string> {
  const { version, charset, action } = type;
  const request = readEnvelope(bytes, charset, version);
  const operation = requireOperation(request.namespace, request.name);
  if (action !== '' && !actionsOf(operation).includes(action)) throw new SoapFault('F10');
  return after(perform(settled, operation, exchange, givenInSoap(request)), (value) =>
    writeSuccess(version, operation, value),
  );
}

/** The actions under which nothing but reading is done: an action that is named is that of the operation (F10). */
const readingActions = new Set(
  operations.filter(({ formGet }) => formGet !== 'never').flatMap(({ name }) => [name, namespace + name]),
);
const operationsByName = new Map(operations.map((operation) => [operation.name, operation]));
const actionsOf = remember(({ name }: Operation) => [namespace + name, name]);

function requireOperation(space: string, name: string): Operation {
  const operation = operationsByName.get(name);
  if (operation === undefined || space !== namespace) throw new SoapFault('F9');
  return operation;
}

/** A repeated answer is written once: the check of a session gives the same value as long as nothing about it changed. */
function writeSuccess(version: SoapVersion, operation: Operation, value: Value): string {
  if (typeof value === 'string') return writeEnvelope(version, response(operation, value));
  const written = writtenFrom(value);
  written[version] ??= writeEnvelope(version, response(operation, value));
  return written[version];
}

const writtenFrom = remember((_value: object): Partial<Record<SoapVersion, string>> => ({}));

function response(operation: Operation, value: Value) {
  const result = writeValue(`${operation.name}Result`, operation.result, value);
  return element(`${operation.name}Response`, [result], { xmlns: namespace });
}

function soapAnswer(
  exchange: Exchange,
  version: SoapVersion,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return textAnswer(exchange, status, `${mediaTypes[version]}; charset=utf-8`, text, headers);
}

// --- Both bindings --------------------------------------------------------------------------------------------------

/** Credential, then parameters, then rights, then the deed: the order of the contract, section 3. */
function perform({ core, settings }: Settled, operation: Operation, exchange: Exchange, given: Given): Soon<Value> {
  const { caller } = exchange;
  const call = { core, settings, caller, given };
  if (operation.access === 'public') return operation.run(call);
  const sessionId = readSessionId(given);
  return after(requireContext(core, caller, sessionId), (context) => {
    if (context.stepDue && operation.access !== 'signed_in_step_due') throw new CoreError('step_due');
    return operation.run({ ...call, sessionId, context });
  });
}

function toFault(core: Core, exchange: Exchange, error: unknown): SoapFault {
  if (error instanceof SoapFault) return error;
  const { code, detail } = nameFailure(core, exchange.requestId, error);
  return coreFaults[code](detail);
}

function retryAfter({ detail }: SoapFault): Record<string, string> {
  return detail.retryAfterSeconds === undefined ? {} : { 'Retry-After': String(detail.retryAfterSeconds) };
}

// --- Forms ----------------------------------------------------------------------------------------------------------

async function answerForm(settled: Settled, operation: Operation, exchange: Exchange): Promise<Response> {
  const text = exchange.request.method === 'POST' ? await readForm(exchange.request) : exchange.query;
  try {
    const given = givenInForm(text);
    const value = await perform(settled, operation, exchange, withNumbers(operation, given));
    return textAnswer(exchange, 200, xmlType, writeFormResult(operation.result, value));
  } catch (error) {
    return formFault(exchange, toFault(settled.core, exchange, error));
  }
}

async function readForm(request: Request): Promise<string> {
  const bytes = await readBody(request, bodyLimit);
  if (bytes.length === 0) return '';
  const { type, parameters } = readMediaType(request);
  const charset = parameters.get('charset')?.toLowerCase() ?? 'utf-8';
  if (type !== 'application/x-www-form-urlencoded' || charset !== 'utf-8')
    throw new HttpFault('unsupported_media_type');
  // Byte for byte: what is not ASCII is left to the decoding of the escapes, which refuses it.
  return new TextDecoder('latin1').decode(bytes);
}

/** Unlike SOAP, a form must name every number: a left-out one is more likely a slip than a wish for the default. */
function withNumbers(operation: Operation, given: Given): Given {
  const isNumber = (name: string) => operation.parameters.some((one) => one.name === name && one.type !== 'string');
  return (name) => {
    const texts = given(name);
    if (texts.length === 0 && isNumber(name)) throw new SoapFault('F6', { item: name, message: missing(name) });
    return texts;
  };
}

function missing(name: string): string {
  return `Missing parameter: ${name}.`;
}

function formFault(exchange: Exchange, fault: SoapFault): Response {
  const { id, detail } = fault;
  const message = detail.message ?? faultTable[id].message;
  const line = message === missing(detail.item ?? '') ? message : `${faultString(id, detail)}: ${message}`;
  const status = id === 'F3' ? 429 : id === 'F14' ? 503 : 500;
  return textAnswer(exchange, status, 'text/plain; charset=utf-8', `${line}\n`, retryAfter(fault));
}

// --- Pages ----------------------------------------------------------------------------------------------------------

function answerPage(settings: EcgridosSettings, exchange: Exchange): Response {
  const query = new Map(exchange.query.split('&').map(splitQuery));
  const wantsWsdl = query.has('wsdl') || query.has('singlewsdl');
  if (!wantsWsdl && !settings.helpPages) return plainAnswer(exchange, 'not_found');
  const origin = settings.publicUrl === '' ? readOrigin(settings, exchange) : settings.publicUrl;
  if (origin === null) return plainAnswer(exchange, 'bad_host');
  const address = origin + endpoint;
  if (wantsWsdl) return textAnswer(exchange, 200, xmlType, writeWsdl(address));
  const name = query.get('op');
  if (name === undefined) return htmlAnswer(exchange, writeOperationList(address));
  const operation = operations.find((row) => row.name.toLowerCase() === name.toLowerCase());
  if (operation === undefined) return plainAnswer(exchange, 'not_found');
  return htmlAnswer(exchange, writeOperationPage(address, operation));
}

function splitQuery(pair: string): [string, string] {
  const [key = '', value = ''] = pair.split('=', 2);
  return [key.toLowerCase(), value];
}

/** The address that the client used, if its host is a listed one: a foreign name is never printed. */
function readOrigin(settings: EcgridosSettings, exchange: Exchange): string | null {
  const host = exchange.request.headers.get('host') ?? '';
  const name = host.replace(/:\d{1,5}$/, '').toLowerCase();
  const { allowedHosts, listenHost } = settings;
  const listening = listenHost.includes(':') ? `[${listenHost}]` : listenHost;
  const listed = allowedHosts.length === 0 ? [...loopbackHosts, listening.toLowerCase()] : allowedHosts;
  const origin = `${exchange.caller.secure ? 'https' : 'http'}://${host}`;
  // A port beyond 65,535 makes an address that no client can use.
  return listed.includes(name) && URL.canParse(origin) ? origin : null;
}

function answerStyle(exchange: Exchange): Response {
  return textAnswer(exchange, 200, 'text/css; charset=utf-8', styleSheet);
}

function htmlAnswer(exchange: Exchange, html: string): Response {
  return textAnswer(exchange, 200, 'text/html; charset=utf-8', html, { 'Content-Security-Policy': pagePolicy });
}

function plainAnswer(exchange: Exchange, fault: Fault, headers: Readonly<Record<string, string>> = {}): Response {
  const [status, line] = plainAnswers[fault];
  const retry = status === 503 ? { 'Retry-After': '2' } : {};
  return textAnswer(exchange, status, 'text/plain; charset=utf-8', `${line}\n`, { ...headers, ...retry });
}

/** One set of prepared headers for each media type of this door. */
const answers = new Map<string, Answer>();

function answersOf(type: string): Answer {
  let send = answers.get(type);
  if (send === undefined) {
    send = prepareAnswers({ 'Content-Type': type });
    answers.set(type, send);
  }
  return send;
}

function textAnswer(
  exchange: Exchange,
  status: number,
  type: string,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return answersOf(type)(exchange, status, text, headers);
}
