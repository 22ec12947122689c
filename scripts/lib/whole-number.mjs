/** What an option says, from 1 on: with anything else a loop would do nothing, and nothing would fail. */
export function wholeNumber(name, text) {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 1) return number;
  console.error(`${name} takes a whole number from 1 on, not '${text}'`);
  process.exit(2);
}
