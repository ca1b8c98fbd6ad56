import { readFile, writeFile } from 'node:fs/promises';

/** Writes requests for a load generator, each as `<bytes>\n<request>`; they are ASCII texts. */
export async function writeRequests(path: string, requests: readonly string[]): Promise<void> {
  await writeFile(path, requests.map((request) => `${request.length}\n${request}`).join(''), 'latin1');
}

/** The requests of such a file. */
export async function readRequests(path: string): Promise<string[]> {
  const text = await readFile(path, 'latin1');
  const requests: string[] = [];
  for (let at = 0; at < text.length; ) {
    const lineEnd = text.indexOf('\n', at);
    const end = lineEnd + 1 + Number(text.slice(at, lineEnd));
    requests.push(text.slice(lineEnd + 1, end));
    at = end;
  }
  return requests;
}
