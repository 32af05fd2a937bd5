// What an editor of conditions knows without asking: which words there are, and what could stand where one types.
import type { Argument, Described, LanguageAnswer } from "../api/schema";

export type Paint = "function" | "word" | "number" | "pair" | "sign" | "plain";

export interface Piece {
  text: string;
  paint: Paint;
  wrong: boolean;
}

export interface Choice {
  /** What is shown, and what is put in. */
  text: string;
  insert: string;
  help: string;
  /** Of what was inserted: marked afterwards, so that one types over it. */
  mark?: [number, number] | undefined;
}

export interface Place {
  /** The word that is being typed: from here to the caret. */
  start: number;
  choices: Choice[];
}

export interface Hint {
  described: Described;
  /** Which argument the caret is in. */
  at: number;
}

const TOKEN = /(\s+)|([a-z][\w-]*\/[\w-]+)|((?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+|(?:ms|[smhdw])(?:\d+(?:ms|[smhdw]))*|\s*%)?)|([a-z_]\w*)|(<=|>=|[<>])|(.)/giy;
const WINDOWS = ["5m", "15m", "1h", "4h", "24h", "7d", "30d"];
const COMPARED: Record<string, string> = {
  "<": "below", "<=": "at most", ">": "above", ">=": "at least", "crosses above": "comes to be at least", "crosses below": "comes to be at most",
};
const JOINED: Record<string, string> = { and: "both are true", or: "one of them is true", not: "the condition behind it is false" };
const APPLIED: Record<string, string> = { abs: "the size of a number, without its sign", min: "the smallest of several", max: "the largest of several" };

function* tokens(text: string): Generator<{ text: string; start: number; group: number }> {
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(text); found; found = TOKEN.exec(text))
    yield { text: found[0], start: found.index, group: found.findIndex((each, i) => i > 0 && each !== undefined) };
}

/** The text in pieces, each in its own colour; what is wrong begins at `column` (from 1). */
export function painted(text: string, language: LanguageAnswer | null, column: number | null): Piece[] {
  const functions = new Set([...(language?.functions.map(({ name }) => name) ?? []), ...(language?.numbers ?? [])]);
  const wrong = column === null ? null : Math.min(column - 1, Math.max(0, text.length - 1));
  const pieces: Piece[] = [];
  for (const { text: word, start, group } of tokens(text)) {
    const low = word.toLowerCase();
    const known = functions.has(low) ? "function" : language?.joins.includes(low) || /^(crosses|above|below)$/.test(low) ? "word" : "plain";
    const paint = ([, "plain", "pair", "number", known, "sign", "plain"] as const)[group] ?? "plain";
    pieces.push({ text: word, paint, wrong: wrong !== null && wrong >= start && wrong < start + word.length });
  }
  return pieces;
}

/** The call that the caret stands in. */
export function hintAt(text: string, caret: number, language: LanguageAnswer | null): Hint | null {
  const open = opened(text.slice(0, caret)).findLast(({ name }) => language?.functions.some((each) => each.name === name));
  const described = language?.functions.find(({ name }) => name === open?.name);
  return described?.arguments.length ? { described, at: Math.min(open?.at ?? 0, described.arguments.length - 1) } : null;
}

/** What could stand at the caret, those that begin with what is typed of it. */
export function placeAt(text: string, caret: number, language: LanguageAnswer | null, pairs: string[]): Place {
  const before = text.slice(0, caret);
  const typed = /[a-z0-9_/<>=-]*$/i.exec(before)?.[0] ?? "";
  const word = /[a-z_][\w/-]*$|\d\w*$|[<>]=?$/i.exec(typed)?.[0] ?? "";
  const start = caret - word.length;
  if (!language) return { start, choices: [] };
  const low = word.toLowerCase();
  const choices = possible(before.slice(0, start), language, pairs).filter(({ text: shown }) => fits(shown, low));
  return { start, choices: choices.length === 1 && choices[0]?.insert.trim() === word ? [] : choices };
}

const fits = (shown: string, typed: string) => shown.startsWith(typed) || (typed.length > 1 && shown.includes(typed) && !/^\d/.test(typed));

function possible(before: string, language: LanguageAnswer, pairs: string[]): Choice[] {
  const open = opened(before).at(-1);
  const described = language.functions.find(({ name }) => name === open?.name);
  if (open && described) return arguments_(described.arguments[open.at], language, pairs);
  const last = [...tokens(before)].filter(({ group }) => group !== 1).at(-1);
  if (!last || /^([(,<>+*/-]|[<>]=|and|or|not|above|below)$/i.test(last.text)) return operands(language, !last || /^(\(|and|or)$/i.test(last.text));
  return followers(before, language);
}

function operands(language: LanguageAnswer, begins: boolean): Choice[] {
  const all: Choice[] = [
    ...language.functions.map(called),
    ...language.numbers.map((name) => ({ text: name, insert: `${name}()`, help: APPLIED[name] ?? "", mark: [name.length + 1, name.length + 1] as [number, number] })),
  ].toSorted((a, b) => Number(b.text === "price") - Number(a.text === "price") || (a.text < b.text ? -1 : 1));
  return begins ? [...all, { text: "not", insert: "not ", help: JOINED.not ?? "" }] : all;
}

function called({ name, example, help }: Described): Choice {
  const open = example.indexOf("(");
  return { text: name, insert: example, help, ...(open < 0 ? {} : { mark: [open + 1, example.length - 1] as [number, number] }) };
}

/** What comes behind a number: a comparison, or, where there is one already, another condition. */
function followers(before: string, language: LanguageAnswer): Choice[] {
  const since = before.split(/\b(?:and|or)\b/i).at(-1) ?? "";
  const compared = /[<>]|\bcrosses\s+(above|below)\b/i.test(since);
  const crossing = /\bcrosses\s*$/i.test(before);
  const space = /\s$/.test(before) || !before ? "" : " ";
  if (crossing) return ["above", "below"].map((text) => ({ text, insert: `${text} `, help: COMPARED[`crosses ${text}`] ?? "" }));
  const words = compared ? language.joins.filter((each) => each !== "not") : language.operators;
  return words.map((text) => ({ text, insert: `${space}${text} `, help: (compared ? JOINED : COMPARED)[text] ?? "" }));
}

function arguments_(argument: Argument | undefined, language: LanguageAnswer, pairs: string[]): Choice[] {
  const told = (texts: readonly string[], help: string) => texts.map((text) => ({ text, insert: text, help }));
  switch (argument?.kind) {
    case "interval":
      return told(language.intervals, "candles of this length");
    case "window":
      return told(WINDOWS, "a stretch of time");
    case "pair":
      return told(pairs, "another pair");
    case "feature":
      return language.functions.filter(({ unit }) => unit !== "time").map(called);
    default:
      return [];
  }
}

/** The brackets that are open at the end of a text: whose they are, and in which argument of theirs one is. */
function opened(text: string): { name: string; at: number }[] {
  const open: { name: string; at: number }[] = [];
  let word = "";
  for (const { text: each, group } of tokens(text)) {
    const inner = open.at(-1);
    if (each === "(") open.push({ name: word, at: 0 });
    else if (each === ")") open.pop();
    else if (each === "," && inner) inner.at++;
    if (group !== 1) word = group === 4 ? each.toLowerCase() : "";
  }
  return open;
}
