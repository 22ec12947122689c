const LONGEST = 64 * 1024;

/**
 * One of the corpus, with one to four changes.
 * @param words what may be put in whole: what a parser knows, and no byte after another would come to
 */
export function mutated(
  corpus: readonly Buffer[],
  pick: (below: number) => number,
  words: readonly Buffer[] = [],
): Buffer {
  let message = Buffer.from(corpus[pick(corpus.length)] ?? '');
  for (let left = 1 + pick(4); left > 0; left--) {
    const at = pick(message.length + 1);
    const other = corpus[pick(corpus.length)] ?? Buffer.alloc(0);
    const length = 1 + pick(1 << pick(10));
    const end = Math.min(at + length, message.length);
    switch (pick(words.length > 0 ? 8 : 7)) {
      case 0: // another byte
        if (at < message.length) message[at] = pick(256);
        break;
      case 1: // a number that is close, as a length is when it is wrong
        if (at < message.length) message[at] = (message[at] ?? 0) + (pick(2) === 0 ? 1 : -1) * (1 + pick(2));
        break;
      case 2: // cut
        message = message.subarray(0, at);
        break;
      case 3: // something taken out
        message = Buffer.concat([message.subarray(0, at), message.subarray(end)]);
        break;
      case 4: // something doubled
        message = Buffer.concat([message.subarray(0, end), message.subarray(at)]);
        break;
      case 5: // a piece of another one put in
        message = Buffer.concat([message.subarray(0, at), other.subarray(at, at + length), message.subarray(at)]);
        break;
      case 6: // goes on as another one
        message = Buffer.concat([message.subarray(0, at), other.subarray(Math.min(at, other.length))]);
        break;
      default: // a word put in
        message = Buffer.concat([message.subarray(0, at), words[pick(words.length)] ?? other, message.subarray(at)]);
    }
  }
  return message.subarray(0, LONGEST);
}
