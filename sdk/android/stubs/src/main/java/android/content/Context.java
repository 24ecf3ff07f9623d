// What this SDK calls of Android, by name and arity, to compile and test against. Never shipped.
package android.content;

import android.content.pm.ApplicationInfo;
import android.content.pm.PackageManager;
import java.io.File;

public abstract class Context {
    public abstract Context getApplicationContext();

    public abstract ApplicationInfo getApplicationInfo();

    public abstract File getCacheDir();

    public abstract ContentResolver getContentResolver();

    public abstract File getNoBackupFilesDir();

    public abstract PackageManager getPackageManager();

    public abstract String getPackageName();

    public final <T> T getSystemService(Class<T> serviceClass) {
        return serviceClass.cast(systemService(serviceClass));
    }

    /** What a test answers for {@link #getSystemService}. */
    protected abstract Object systemService(Class<?> serviceClass);
}
