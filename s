users keep their service managers: --no-user-manager takes them away, --user-manager says no more of it
In the tree /tmp/trees-w/fr, by the paths in it:

# /etc/security/slurm_adopt.conf: options for all lines of the module
--- /dev/null
+++ /etc/security/slurm_adopt.conf
@@ -0,0 +1,7 @@
+# Options of pam_slurm_adopt.so, slurm_adopt.conf(5). An argument of a PAM line overrides them.
+# Deny a login that cannot be taken into its job.
+action_adopt_failure = deny
+# Deny logins while slurm.conf cannot be read.
+action_generic_failure = deny
+# Tell logins with a terminal their job and the time that is left.
+banner = 1

# /etc/pam.d/sshd: the account line lets users in only while they have a job; the session line keeps logins in their job, with every authentication method
--- /etc/pam.d/sshd
+++ /etc/pam.d/sshd
@@ -5,6 +5,8 @@

 # Disallow non-root logins when /etc/nologin exists.
 account    required     pam_nologin.so
+# Users get in only while they have a job here.
+account    required     pam_slurm_adopt.so

 # Uncomment and edit /etc/security/access.conf if you need to set complex
 # access limits that are hard to express in sshd_config.
@@ -50,6 +52,8 @@
 # in the proper default security context.  Only sessions which are intended
 # to run in the user's context should be run after this.
 session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so open
+# Last of the session lines: logins stay in their job.
+session    required     pam_slurm_adopt.so

 # Standard Un*x password updating.
 @include common-password

# /etc/pam.d/su: su opens a session of its own, which pam_systemd takes out of the job
--- /etc/pam.d/su
+++ /etc/pam.d/su
@@ -57,5 +57,7 @@
 @include common-auth
 @include common-account
 @include common-session
+# Last of the session lines: su stays in the job.
+session    required     pam_slurm_adopt.so service=su,su-l



To do: logins give users a service manager (user@UID.service) outside their job: they can start programs there that no limit holds and that outlive the job
  With the drop-in for user@.service users have no service manager on this node: no systemctl --user, no
  systemd-run --user, no session bus (dbus-run-session starts one in the job), no lingering services.
  Logins, XDG_RUNTIME_DIR and loginctl work as before, and root keeps its manager.

To do: slurm.conf cannot be seen here (none of /run/slurm/conf/slurm.conf, /etc/slurm/slurm.conf, /etc/slurm-llnl/slurm.conf, /opt/slurm/etc/slurm.conf, /usr/local/etc/slurm.conf); on the controller it needs
  PrologFlags=Contain,DeferBatch   # before Slurm 22.05 Contain alone
  ProctrackType=proctrack/cgroup
  TaskPlugin=task/affinity,task/cgroup

To do: and cgroup.conf
  ConstrainCores=yes
  ConstrainDevices=yes
  ConstrainRAMSpace=yes
  ConstrainSwapSpace=yes

- look at the host as it is
- write the files
- look at the host as it is now
warning: check finds SA333 refused logins shut out all who come from the same address (/etc/ssh/sshd_config): authfail:5 min:15 (OpenSSH_10.0p2): 4 refused logins within seconds from an address shut it out for 15 s or more
warning: check finds SA602 pam_systemd gives each login a service manager outside its job (/etc/pam.d/common-session:26): user@.service starts a service manager for each user who logs in
done; slurm-adopt undo --root /tmp/trees-w/fr takes it back
