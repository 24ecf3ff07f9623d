// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.view;

import android.content.Context;

public class View {
    public View(Context context) {}
}
