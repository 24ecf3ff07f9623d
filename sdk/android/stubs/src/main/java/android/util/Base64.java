// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.util;

public class Base64 {
    public static final int NO_WRAP = 2;

    private Base64() {}

    public static String encodeToString(byte[] input, int flags) {
        if (flags != NO_WRAP) throw new UnsupportedOperationException("flags: " + flags);
        return java.util.Base64.getEncoder().encodeToString(input);
    }
}
