import { HttpFault } from '../../http/faults.ts';
import { rememberLast } from '../../http/remember.ts';
import { mediaTypes, type SoapVersion } from './envelope.ts';

/** What the headers of a SOAP request say of it; `action` is empty where none is named. */
export type SoapType = { readonly version: SoapVersion; readonly charset: string | undefined; readonly action: string };

/** @throws HttpFault `unsupported_media_type` for anything but the two media types of SOAP, in UTF-8 or UTF-16, without coding */
export function readSoapType(request: Request): SoapType {
  const { type, parameters } = readMediaType(request);
  const version = type === mediaTypes['1.1'] ? '1.1' : type === mediaTypes['1.2'] ? '1.2' : undefined;
  const charset = parameters.get('charset')?.toLowerCase();
  const readable = charset === undefined || charset === 'utf-8' || charset === 'utf-16';
  if (version === undefined || !readable) throw new HttpFault('unsupported_media_type');
  const header = request.headers.get('soapaction') ?? '';
  return { version, charset, action: readAction(version === '1.1' ? header : (parameters.get('action') ?? '')) };
}

/** @throws HttpFault `unsupported_media_type` for a coded body, or a header that is ambiguous */
export function readMediaType(request: Request): MediaType {
  const coding = request.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (coding !== 'identity') throw new HttpFault('unsupported_media_type');
  return parseMediaType(request.headers.get('content-type') ?? '');
}

type MediaType = { readonly type: string; readonly parameters: ReadonlyMap<string, string> };

const parseMediaType = rememberLast((header): MediaType => {
  const [type = '', ...rest] = header.split(';').map((part) => part.trim());
  if (type.includes(',')) throw new HttpFault('unsupported_media_type');
  const parameters = rest.map((part): [string, string] => {
    const equals = part.indexOf('=');
    return [part.slice(0, equals).trim().toLowerCase(), unquote(part.slice(equals + 1).trim())];
  });
  // A header sent twice arrives as one, and of two encodings neither may be the one that counts.
  if (new Set(parameters.map(([name]) => name)).size < parameters.length) throw new HttpFault('unsupported_media_type');
  return { type: type.toLowerCase(), parameters: new Map(parameters) };
});

function unquote(text: string): string {
  return text.trim().replace(/^"(.*)"$/, '$1');
}

const readAction = rememberLast(unquote);
