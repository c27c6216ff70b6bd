import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.IntPredicate;

/**
 * Prints what Java's regular expressions know of characters: crates/sql/src/regex/characters.txt.
 *
 *     java tests/spark/Characters.java > crates/sql/src/regex/characters.txt
 *
 * Run it with the Java that Spark runs on, as its version of Unicode is that of the patterns.
 */
public class Characters {
    static final String[] CATEGORIES = {
        "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", null, "Co",
        "Cs", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf"};

    public static void main(String[] args) {
        System.out.println("# Java " + Runtime.version().feature() + ": made by tests/spark/Characters.java. A set is a line: kind, name, ranges of code points.");
        System.out.println("# `upper` and `lower` are ranges with what is added to each second or each code point: first-last/step+difference.");
        sets("category", code -> CATEGORIES[Character.getType(code)]);
        sets("script", code -> Character.UnicodeScript.of(code).name());
        Map<String, String> codes = new TreeMap<>();
        for (char a = 'A'; a <= 'Z'; a++)
            for (char b = 'a'; b <= 'z'; b++)
                for (char c = 'a'; c <= 'z'; c++)
                    for (char d = 'a'; d <= 'z'; d++)
                        code(codes, "" + a + b + c + d);
        codes.forEach((code, name) -> System.out.println("alias " + code + " " + name));
        Map<String, StringBuilder> blocks = new TreeMap<>();
        ranges("block", code -> {
            Character.UnicodeBlock block = Character.UnicodeBlock.of(code);
            return block == null ? null : block.toString();
        }, blocks);
        blocks.forEach((name, ranges) -> System.out.println("block " + name + ranges));
        property("Alphabetic", Character::isAlphabetic);
        property("Ideographic", Character::isIdeographic);
        property("Lowercase", Character::isLowerCase);
        property("Uppercase", Character::isUpperCase);
        property("Mirrored", Character::isMirrored);
        property("IdentifierIgnorable", Character::isIdentifierIgnorable);
        property("JavaIdentifierStart", Character::isJavaIdentifierStart);
        property("JavaIdentifierPart", Character::isJavaIdentifierPart);
        property("UnicodeIdentifierStart", Character::isUnicodeIdentifierStart);
        property("UnicodeIdentifierPart", Character::isUnicodeIdentifierPart);
        cases("upper", Character::toUpperCase);
        cases("lower", Character::toLowerCase);
    }

    static void code(Map<String, String> codes, String code) {
        try {
            codes.put(code, Character.UnicodeScript.forName(code).name());
        } catch (IllegalArgumentException none) {
            // Not a script.
        }
    }

    interface Named {
        String of(int code);
    }

    static void sets(String kind, Named named) {
        Map<String, StringBuilder> found = new TreeMap<>();
        ranges(kind, named, found);
        found.forEach((name, ranges) -> System.out.println(kind + " " + name + ranges));
    }

    static void ranges(String kind, Named named, Map<String, StringBuilder> found) {
        for (int code = 0; code <= 0x10FFFF;) {
            String name = named.of(code);
            int first = code;
            while (code <= 0x10FFFF && Objects.equals(named.of(code), name))
                code++;
            if (name != null)
                found.computeIfAbsent(name, x -> new StringBuilder()).append(range(first, code - 1));
        }
    }

    static String range(int first, int last) {
        String start = " " + Integer.toHexString(first);
        return first == last ? start : start + "-" + Integer.toHexString(last);
    }

    static void property(String name, IntPredicate has) {
        sets("property", code -> has.test(code) ? name : null);
    }

    interface Mapped {
        int of(int code);
    }

    static void cases(String kind, Mapped mapped) {
        StringBuilder line = new StringBuilder(kind);
        int code = 0;
        while (code <= 0x10FFFF) {
            int difference = mapped.of(code) - code;
            if (difference == 0) {
                code++;
                continue;
            }
            int step = mapped.of(code + 1) - code - 1 == difference ? 1 : 2;
            int last = code;
            while (last + step <= 0x10FFFF && mapped.of(last + step) - last - step == difference
                    && (step == 1 || mapped.of(last + 1) == last + 1))
                last += step;
            line.append(range(code, last)).append("/").append(step).append(difference > 0 ? "+" : "").append(difference);
            code = last + 1;
        }
        System.out.println(line);
    }
}
