import java.text.BreakIterator;
import java.util.*;

/**
 * Learns how Java's BreakIterator cuts texts, by asking it, and prints the machines: crates/sql/src/functions/breaks.txt.
 *
 *     java tests/spark/Breaks.java > crates/sql/src/functions/breaks.txt
 *
 * Two characters are of one class where the first break of a text is the same with either. Two beginnings of a text are one
 * state where all that may follow gives the same first break. The machines are then compared with the BreakIterator on a
 * million random texts. Run it with the Java that Spark runs on.
 */
public class Breaks {
    /** Characters of many kinds, to begin with. */
    static final int[] KINDS = {'a', 'B', '1', ' ', '\n', '\r', '.', ',', '!', '(', ')', '"', '\'', '-', '$', '%', '_', 0, 0xAD, 0x300,
        0x200B, 0x3042, 0x3099, 0x309B, 0x30A2, 0x4E00, 0xAC00, 0x3002, 0x2029, 0x0E01, 0x660, 0xBD, 0x2163, 0xA0, 0x964, 0x1F600};
    static final int TEXTS = 1_000_000;

    final BreakIterator breaks;
    /** A character of each class; the class of each code point. */
    List<Integer> classes;
    byte[] classOf;
    /** Beginnings and ends that tell classes apart. */
    final List<String[]> around = new ArrayList<>();
    /** The states: a text that leads there, the next state by class, and whether a break may be there. */
    final List<String> texts = new ArrayList<>();
    final List<int[]> next = new ArrayList<>();
    boolean[] sure, last;
    boolean[][] back;
    int stop;

    Breaks(BreakIterator breaks) {
        this.breaks = breaks;
    }

    public static void main(String[] args) {
        System.out.println("# Java " + Runtime.version().feature() + ": made by tests/spark/Breaks.java. A class is a line: its ranges of code points.");
        System.out.println("# A state is a line: `+` if a break may be there, `?` if it may at the end of the text or where a later state goes back to it;");
        System.out.println("# the next state by class, `.` for the end, `<` for the end that goes back. What has no class is of class 0.");
        new Breaks(BreakIterator.getSentenceInstance(Locale.ROOT)).print("sentence");
        new Breaks(BreakIterator.getWordInstance(Locale.ROOT)).print("word");
    }

    void print(String name) {
        List<Integer> all = new ArrayList<>();
        for (int code : KINDS)
            all.add(code);
        classes = all;
        classify(classes, List.of());
        learn();
        List<Integer> codes = new ArrayList<>();
        for (int code = 0; code <= 0x10FFFF; code++)
            if (Character.isDefined(code) && Character.getType(code) != Character.PRIVATE_USE && !isWithin(code) || code % 97 == 0)
                if (Character.getType(code) != Character.SURROGATE)
                    codes.add(code);
        classify(codes, texts);
        classifyAll();
        learn();
        test();
        String[] ranges = new String[classes.size()];
        Arrays.fill(ranges, "");
        for (int code = 0; code <= 0x10FFFF;) {
            int first = code;
            while (code <= 0x10FFFF && classOf[code] == classOf[first])
                code++;
            ranges[classOf[first]] += " " + Integer.toHexString(first) + (code - 1 > first ? "-" + Integer.toHexString(code - 1) : "");
        }
        for (int number = 0; number < ranges.length; number++)
            System.out.println(name + " class" + (number == 0 ? "" : ranges[number]));
        for (int state = 0; state < next.size(); state++) {
            if (state == stop)
                continue;
            StringBuilder line = new StringBuilder(name + " state " + (sure[state] ? "+" : last[state] ? "?" : "-"));
            for (int of = 0; of < classes.size(); of++) {
                int to = next.get(state)[of];
                line.append(" ").append(to == stop ? back[state][of] ? "<" : "." : to > stop ? to - 1 : to);
            }
            System.out.println(line);
        }
    }

    static String text(int code) {
        return new String(Character.toChars(code));
    }

    static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    /** Where the first break is, in characters. */
    int first(String text) {
        if (text.isEmpty())
            return 0;
        breaks.setText(text);
        return text.codePointCount(0, breaks.next());
    }

    /** Whether a code point is far inside of a great block of equal ones. */
    static boolean isWithin(int code) {
        return code > 0x4F00 && code < 0x9F00 || code > 0xAD00 && code < 0xD700 || code > 0x20100 && code < 0x2FA00;
    }

    /** Finds the classes: what known characters tell apart, around some beginnings and ends. */
    void classify(List<Integer> codes, List<String> beginnings) {
        around.clear();
        Set<String> before = new LinkedHashSet<>(List.of("", "a. ", "a? ")), behind = new LinkedHashSet<>(List.of("", " B", " a"));
        for (int code : classes) {
            before.add(text(code));
            behind.add(text(code));
        }
        before.addAll(beginnings);
        for (String start : before)
            for (String end : behind)
                around.add(new String[] {start, end});
        Map<List<Integer>, Integer> known = new LinkedHashMap<>();
        // Of a class the character of the kinds above, so that texts can be read.
        for (int code : KINDS)
            known.putIfAbsent(answers(code, around), code);
        for (int code : codes)
            known.putIfAbsent(answers(code, around), code);
        classes = new ArrayList<>(known.values());
    }

    void classifyAll() {
        // The few contexts that tell the classes apart classify all code points.
        List<String[]> few = new ArrayList<>();
        List<List<Integer>> groups = new ArrayList<>(List.of(classes));
        while (groups.stream().anyMatch(group -> group.size() > 1)) {
            String[] best = null;
            int most = groups.size();
            for (String[] context : around) {
                int count = 0;
                for (List<Integer> group : groups)
                    count += split(group, context).size();
                if (count > most) {
                    most = count;
                    best = context;
                }
            }
            few.add(best);
            List<List<Integer>> finer = new ArrayList<>();
            for (List<Integer> group : groups)
                finer.addAll(split(group, best));
            groups = finer;
        }
        Map<List<Integer>, Integer> number = new HashMap<>();
        for (int at = 0; at < classes.size(); at++)
            number.put(answers(classes.get(at), few), at);
        classOf = new byte[0x110000];
        for (int code = 0; code <= 0x10FFFF; code++) {
            if (Character.getType(code) == Character.SURROGATE) {
                classOf[code] = classOf[code - 1];
                continue;
            }
            Integer of = number.get(answers(code, few));
            if (of == null) {
                // A class of which no character was among those that were looked at.
                classes.add(code);
                classifyAll();
                return;
            }
            classOf[code] = of.byteValue();
        }
        // The greatest class is the first, and is not listed.
        int[] sizes = new int[classes.size()];
        for (byte of : classOf)
            sizes[of]++;
        int greatest = 0;
        for (int of = 0; of < sizes.length; of++)
            greatest = sizes[of] > sizes[greatest] ? of : greatest;
        Collections.swap(classes, 0, greatest);
        for (int code = 0; code <= 0x10FFFF; code++)
            classOf[code] = classOf[code] == 0 ? (byte) greatest : classOf[code] == greatest ? 0 : classOf[code];
    }

    Collection<List<Integer>> split(List<Integer> group, String[] context) {
        Map<Integer, List<Integer>> parts = new LinkedHashMap<>();
        for (int code : group)
            parts.computeIfAbsent(first(context[0] + text(code) + context[1]), x -> new ArrayList<>()).add(code);
        return parts.values();
    }

    List<Integer> answers(int code, List<String[]> around) {
        List<Integer> found = new ArrayList<>(around.size());
        for (String[] context : around)
            found.add(first(context[0] + text(code) + context[1]));
        return found;
    }

    /** Finds the states. */
    void learn() {
        List<String> ends = new ArrayList<>(List.of("")), longest = List.of("");
        for (int depth = 0; depth < (classes.size() > 14 ? 2 : 4); depth++) {
            List<String> longer = new ArrayList<>();
            for (String end : longest)
                for (int code : classes)
                    longer.add(end + text(code));
            ends.addAll(longer);
            longest = longer;
        }
        texts.clear();
        next.clear();
        Map<String, Integer> known = new HashMap<>();
        texts.add("");
        for (int state = 0; state < texts.size(); state++) {
            int[] row = new int[classes.size()];
            for (int of = 0; of < row.length; of++) {
                String longer = texts.get(state) + text(classes.get(of));
                row[of] = known.computeIfAbsent(future(longer, ends), x -> {
                    texts.add(longer);
                    return texts.size() - 1;
                });
            }
            next.add(row);
        }
        sure = new boolean[next.size()];
        last = new boolean[next.size()];
        back = new boolean[next.size()][classes.size()];
        for (int state = 1; state < next.size(); state++) {
            String text = texts.get(state);
            last[state] = first(text) == length(text);
            sure[state] = ends.stream().allMatch(end -> first(text + end) >= length(text));
            int own = state;
            if (!last[state] && Arrays.stream(next.get(state)).allMatch(to -> to == own))
                stop = state;
        }
        // Texts that lead to each state with a break that is sure and a later one that is not.
        Random random = new Random(1);
        for (int number = 0; number < TEXTS; number++) {
            int[] word = word(random, 6);
            int state = 0, sureAt = 0, lastAt = 0;
            for (int at = 0; at < word.length; at++) {
                int to = next.get(state)[word[at]];
                if (to == stop) {
                    if (sureAt != lastAt)
                        back[state][word[at]] = first(written(word).substring(0, written(word).offsetByCodePoints(0, at + 1))) == lastAt;
                    break;
                }
                state = to;
                sureAt = sure[state] ? at + 1 : sureAt;
                lastAt = last[state] ? at + 1 : lastAt;
            }
        }
    }

    /** What may come behind a beginning: the first break with each end, counted from the beginning's own. */
    String future(String text, List<String> ends) {
        StringBuilder found = new StringBuilder();
        int length = length(text), own = first(text);
        for (String end : ends) {
            int at = first(text + end);
            found.append((char) (at >= length ? 10 + at - length : at == own ? 1 : 2));
        }
        return found.toString();
    }

    int[] word(Random random, int most) {
        return random.ints(1 + random.nextInt(most), 0, classes.size()).toArray();
    }

    String written(int[] word) {
        StringBuilder text = new StringBuilder();
        for (int of : word)
            text.appendCodePoint(classes.get(of));
        return text.toString();
    }

    void test() {
        Random random = new Random(2);
        for (int number = 0; number < TEXTS; number++) {
            int[] word = word(random, 14);
            int state = 0, sureAt = 0, lastAt = 0, found = -1;
            for (int at = 0; at < word.length && found < 0; at++) {
                int to = next.get(state)[word[at]];
                if (to == stop) {
                    found = back[state][word[at]] ? lastAt : sureAt;
                } else {
                    state = to;
                    sureAt = sure[state] ? at + 1 : sureAt;
                    lastAt = last[state] ? at + 1 : lastAt;
                }
            }
            found = found >= 0 ? found : last[state] ? word.length : sureAt;
            if (found != first(written(word)))
                throw new IllegalStateException("learned wrongly: " + Arrays.toString(written(word).codePoints().toArray()) + " " + found + " " + first(written(word)));
        }
    }
}
