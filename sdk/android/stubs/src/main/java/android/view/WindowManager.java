// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.view;

public interface WindowManager {
    class LayoutParams {
        public static final int FLAG_SECURE = 8192;
    }
}
