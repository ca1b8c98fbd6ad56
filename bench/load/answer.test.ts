import { describe, expect, test } from 'bun:test';
import { readAnswer } from './answer.ts';

const counted = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const chunked = 'HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n';

describe('the client of the benchmark', () => {
  test.each([
    ['by its length', counted, 200],
    ['by its chunks', chunked, 401],
  ])('reads an answer %s, and waits for its last byte', (_how, text, status) => {
    expect(readAnswer(text)).toEqual({ status, body: 'hello', length: text.length });
    for (let cut = 0; cut < text.length; cut++) expect(readAnswer(text.slice(0, cut))).toBeNull();
  });

  test('leaves the next answer of the connection alone', () => {
    expect(readAnswer(counted + chunked)?.length).toBe(counted.length);
  });

  test('expects no body after 204', () => {
    expect(readAnswer('HTTP/1.1 204 No Content\r\n\r\n')).toEqual({ status: 204, body: '', length: 27 });
  });
});
